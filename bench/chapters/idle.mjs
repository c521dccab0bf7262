import { commandsPerSecond } from "../lib/commands.mjs";
import { interleave, pick } from "../lib/interleave.mjs";
import { Invalid, sleep, until } from "../lib/processes.mjs";
import { range, table } from "../lib/table.mjs";
import { BullMq } from "../systems/bullmq.mjs";
import { NodeResque } from "../systems/node_resque.mjs";
import { Sidekiq } from "../systems/sidekiq.mjs";
import { Windlass } from "../systems/windlass.mjs";

export const title = "What an idle worker costs, 50 processors";
export const about = "commands to Redis, CPU and memory of a worker without jobs, over 20 s";
export const rounds = 2;

const PROCESSORS = 50;

export async function run(bench) {
  const systems = bench.present([
    // By its own defaults a processor is added every 500 ms.
    new NodeResque(bench, "node-resque MultiWorker, 50", { processors: PROCESSORS, checkMs: 500 }),
    new Windlass(bench, "Windlass, 50 processors, scheduler", { processors: PROCESSORS }),
    bench.keep(new BullMq(bench, "BullMQ, 50", { concurrency: PROCESSORS })),
    new Sidekiq(bench, "Sidekiq, 50 threads", { concurrency: PROCESSORS }),
  ]);
  const results = await interleave(bench, systems, (system) => idle(bench, system));
  const rows = systems.map((system, index) => [
    system.name,
    ...["commands", "cpu", "rss", "processes"].map((field) => range(pick(results[index], field))),
    pick(results[index], "most").findLast(Boolean) ?? "",
  ]);
  const heads = ["commands/s", "CPU, % of a core", "RSS, MiB (sum of its processes)", "processes", "most of them, per second"];
  return table(["system", ...heads], rows);
}

export async function idle(bench, system) {
  const { redis } = bench;
  await redis.client.flushall();
  await system.prepare();
  const seconds = bench.some(20, 5);
  const worker = system.start();
  try {
    const registered = async () => (await redis.client.scard("resque:workers")) >= PROCESSORS;
    if (system.registers) await until("last processor", registered, { worker });
    await sleep(bench.some(5000, 2000));
    const before = worker.cost();
    const { rate, most } = await commandsPerSecond(redis, seconds);
    const after = worker.cost();
    if (worker.over) throw new Invalid(await worker.ended);
    return {
      commands: rate,
      most,
      cpu: ((after.cpu - before.cpu) / seconds) * 100,
      rss: after.rss,
      processes: after.processes,
    };
  } finally {
    await worker.stop();
  }
}
