// How many commands a worker sends while nothing happens, and which.

import { sleep } from "./processes.mjs";

const SHOWN = 6;

// Per second, over so many seconds; without the harness' own INFO.
export async function commandsPerSecond(redis, seconds) {
  const before = await redis.calls();
  await sleep(seconds * 1000);
  const after = await redis.calls();
  after.set("info", after.get("info") - 1);
  const rates = [...after].map(([name, calls]) => [name, (calls - (before.get(name) ?? 0)) / seconds]);
  const called = rates.filter(([, rate]) => rate > 0).sort(([, a], [, b]) => b - a);
  const most = called.slice(0, SHOWN).map(([name, rate]) => `${name} ${rate.toFixed(1)}`);
  return { rate: called.reduce((sum, [, rate]) => sum + rate, 0), most: most.join(", ") };
}
