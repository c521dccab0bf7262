import { interleave, pick } from "../lib/interleave.mjs";
import { sleep } from "../lib/processes.mjs";
import { Stamps } from "../lib/stamps.mjs";
import { percentile } from "../lib/statistics.mjs";
import { number, range, table } from "../lib/table.mjs";
import { stampSystems } from "../systems/stamping.mjs";

export const title = "Pick-up on an idle worker, each by its own defaults";
export const about = "from just before the enqueue to the job's first act, on an idle worker";
export const rounds = 3;

export async function run(bench) {
  const stamps = bench.keep(await Stamps.open());
  const systems = stampSystems(bench);
  const samples = new Map(systems.map((system) => [system, bench.some(...(system.looksEveryMs ? [10, 3] : [200, 50]))]));
  const results = await interleave(bench, systems, async (system) => {
    const times = await pickUps(bench, system, stamps, samples.get(system));
    return { p50: percentile(times, 0.5), p99: percentile(times, 0.99), longest: Math.max(...times) };
  });
  const rows = systems.map((system, index) => [
    system.name,
    number(samples.get(system)),
    ...["p50", "p99", "longest"].map((field) => range(pick(results[index], field))),
    system.how,
  ]);
  return table(["system", "samples a round", "p50, ms", "p99, ms", "longest, ms", "enqueued by"], rows);
}

export async function pickUps(bench, system, stamps, count) {
  await bench.redis.client.flushall();
  await system.prepare();
  const worker = system.start();
  const times = [];
  try {
    await stamps.timed((args) => system.enqueue(args)); // it has started
    for (let n = 0; n < count; n++) {
      // At any point of its interval, if it polls: right after a job the next look is the farthest away.
      await sleep(30 + Math.random() * (system.looksEveryMs ?? 70));
      times.push(await stamps.timed((args) => system.enqueue(args)));
    }
  } finally {
    await worker.stop();
  }
  return times;
}
