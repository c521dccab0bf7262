import { drainTable } from "../lib/drain_table.mjs";
import { BeeQueue } from "../systems/bee_queue.mjs";
import { BullMq } from "../systems/bullmq.mjs";
import { Ceiling } from "../systems/ceiling.mjs";
import { NodeResque } from "../systems/node_resque.mjs";
import { Rq } from "../systems/rq.mjs";
import { Sidekiq } from "../systems/sidekiq.mjs";
import { Windlass } from "../systems/windlass.mjs";

export const title = "Drain of no-op jobs on Redis";
export const about = "a full queue of no-op jobs: Windlass, its ceiling, and all peers";
export const rounds = 3;

export function run(bench) {
  const [many, some, few] = [bench.jobs(600_000, 200_000), bench.jobs(40_000, 10_000), bench.jobs(600, 200)];
  const windlass = (processors) => new Windlass(bench, `Windlass, ${processors} processors`, { processors });
  const nodeResque = (processors) => new NodeResque(bench, `node-resque MultiWorker, ${processors}`, { processors });
  const contenders = [
    [new Ceiling(bench, 50), many],
    [windlass(50), many],
    [nodeResque(10), some],
    [windlass(10), many / 2],
    [windlass(100), many],
    [windlass(200), many],
    [new Ceiling(bench, 200), many],
    [nodeResque(50), some],
    [new BullMq(bench, "BullMQ, 50", { concurrency: 50 }), some],
    [new BeeQueue(bench, 50), some],
    [new Sidekiq(bench, "Sidekiq, 10 threads", { concurrency: 10 }), some],
    [new Rq(bench), few],
  ];
  return drainTable(bench, contenders, [
    ["of the ceiling, 50", 0],
    ["of the ceiling, 200", 6],
    ["× node-resque, 10", 2],
  ]);
}
