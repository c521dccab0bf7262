// A steady stream of jobs.

import { sleep } from "./processes.mjs";

const TICK_MS = 2;
const MOST = 1000;

// Pushes this many jobs per second for so many seconds; tells how many.
export async function feed(bench, payload, perSecond, seconds) {
  const [begun, total] = [performance.now(), Math.round(perSecond * seconds)];
  let pushed = 0;
  while (pushed < total) {
    const due = Math.min(total, Math.round(((performance.now() - begun) / 1000) * perSecond));
    const count = Math.min(MOST, due - pushed);
    if (count > 0) {
      await bench.redis.client.rpush("resque:queue:bench", ...Array(count).fill(payload));
      pushed += count;
    }
    if (due - pushed === 0) await sleep(TICK_MS);
  }
  return pushed;
}
