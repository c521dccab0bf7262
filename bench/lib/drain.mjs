// How fast a queue that was filled before is drained.
//
// The rate is taken between the first look that finds 5 % of the jobs gone from the queue and the first that finds 95 %
// gone, so that neither the start nor the last few jobs count. Afterwards all jobs must have been processed and none
// may have failed; else the run is invalid, whatever its rate.

import { Invalid, sleep, until } from "./processes.mjs";

const LOOK_MS = 10;
const STALLED_S = 60;
const SHORTEST_MS = 100;

export async function drain(bench, system, jobs) {
  await bench.redis.client.flushall();
  await system.preload(jobs);
  const worker = system.start();
  try {
    const measured = await window(bench, system, jobs, worker);
    await until("end of the queue", async () => (await system.left()) === 0, { worker, seconds: STALLED_S });
    if (!system.countsAtItsEnd) await allProcessed(system, jobs);
    return measured;
  } finally {
    await worker.stop();
    if (system.countsAtItsEnd) await allProcessed(system, jobs);
  }
}

async function window(bench, system, jobs, worker) {
  const look = async () => {
    const done = jobs - (await system.left());
    return { done, at: performance.now() };
  };
  let [first, last, moved] = [null, await look(), performance.now()];
  for (;;) {
    await sleep(LOOK_MS);
    const now = await look();
    if (now.done > last.done) moved = now.at;
    last = now;
    if (!first && now.done >= 0.05 * jobs) first = { ...now, ...costs(bench, worker) };
    if (now.done >= 0.95 * jobs) break;
    if (worker.over) throw new Invalid(`${await worker.ended} with ${jobs - now.done} jobs left`);
    if (now.at - moved > STALLED_S * 1000) throw new Invalid(`stood still with ${jobs - now.done} jobs left`);
  }
  const ms = last.at - first.at;
  if (ms < SHORTEST_MS) throw new Invalid(`over in ${ms.toFixed()} ms: too few jobs to measure`);
  const count = last.done - first.done;
  const after = costs(bench, worker);
  return {
    rate: (count / ms) * 1000,
    workerCpu: ((after.worker - first.worker) / count) * 1e6,
    redisCpu: ((after.redis - first.redis) / count) * 1e6,
  };
}

function costs(bench, worker) {
  return { worker: worker.cost().cpu, redis: bench.redis.cpu() };
}

async function allProcessed(system, jobs) {
  let counts;
  const all = async () => {
    counts = await system.counts();
    return counts.processed + counts.failed >= jobs;
  };
  try {
    await until("end of the last job", all, { seconds: system.countsAtItsEnd ? 1 : 20 });
  } catch (error) {
    if (!(error instanceof Invalid)) throw error;
  }
  if (counts.processed !== jobs || counts.failed !== 0) {
    throw new Invalid(`${counts.processed} of ${jobs} jobs processed, ${counts.failed} failed`);
  }
}
