import { interleave, pick } from "../lib/interleave.mjs";
import { Stamps, now } from "../lib/stamps.mjs";
import { ratios } from "../lib/statistics.mjs";
import { range, table } from "../lib/table.mjs";
import { stampSystems } from "../systems/stamping.mjs";

export const title = "From the start of the process to the first job";
export const about = "from just before the process is started to the first act of a job that waits for it";

export async function run(bench) {
  const stamps = bench.keep(await Stamps.open());
  const systems = stampSystems(bench);
  const results = await interleave(bench, systems, (system) => firstJob(bench, system, stamps));
  const times = results.map((values) => pick(values, "ms"));
  const rows = systems.map((system, index) => [
    system.name,
    range(times[index]),
    range(ratios(times[index], times[0])),
  ]);
  return table(["system", "ms", "× Windlass"], rows);
}

async function firstJob(bench, system, stamps) {
  await bench.redis.client.flushall();
  await system.prepare();
  const { args, began } = stamps.expect(60);
  await system.enqueue(args);
  const before = now();
  const worker = system.start();
  try {
    return { ms: Number((await began) - before) / 1e6 };
  } finally {
    await worker.stop();
  }
}
