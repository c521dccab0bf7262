// The systems whose jobs say when they began, each by its own defaults.

import { BullMq } from "./bullmq.mjs";
import { NodeResque } from "./node_resque.mjs";
import { Sidekiq } from "./sidekiq.mjs";
import { Windlass } from "./windlass.mjs";

export function stampSystems(bench) {
  const windlass = new Windlass(bench, "Windlass", {
    settings: "",
    task: "stamp",
    run: 'builtin = "stamp"',
    binary: bench.program("stamp-daemon"),
  });
  windlass.how = "a plain RPUSH";
  const nodeResque = new NodeResque(bench, "node-resque MultiWorker", { task: "stamp" });
  nodeResque.how = "a plain RPUSH";
  nodeResque.looksEveryMs = 5000; // after it has found nothing
  const bullMq = bench.keep(new BullMq(bench, "BullMQ", { task: "stamp" }));
  bullMq.how = "Queue.add";
  const sidekiq = new Sidekiq(bench, "Sidekiq", { task: "Stamp" });
  sidekiq.how = "a plain LPUSH";
  return bench.present([windlass, nodeResque, bullMq, sidekiq]);
}
