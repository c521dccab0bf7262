// bench/soak: a mix of jobs at a moderate rate for MINUTES, and what grows meanwhile.

import { Bench } from "./lib/bench.mjs";
import { Growth } from "./lib/growth.mjs";
import { sleep } from "./lib/processes.mjs";
import { HttpServer } from "./systems/http_server.mjs";
import { MixedLoad } from "./systems/mixed_load.mjs";

const SAMPLE_MS = 10_000;
const PUSH_MS = 50;
const SETTLE_S = 60;

// [share, amount] that the end may have more than the beginning.
const TOLERANCES = {
  "instances: RSS, MiB": [0.1, 8],
  "instances: descriptors": [0, 16],
  "instances: threads": [0, 8],
  "instances: processes": [0, 4],
  "Redis: keys": [0.1, 60],
  "Redis: memory, MiB": [0.1, 1],
  "Redis: clients": [0, 4],
};

const minutes = Number(process.env.MINUTES ?? 15);
if (process.argv.length > 2 || !(minutes >= 1.5 && minutes <= 7 * 24 * 60)) {
  console.error("usage: MINUTES=15 bench/soak, from 1.5");
  process.exit(64);
}

const bench = await Bench.start({});
let problems;
try {
  problems = await soak();
} finally {
  await bench.end();
}
if (problems.length > 0) {
  bench.say(`\nNOT FINE\n${problems.map((problem) => `- ${problem}`).join("\n")}`);
  process.exit(1);
}
bench.say("\nFine: nothing grew, every job was done as often as it should, nothing was left behind.");
process.exit(0);

async function soak() {
  const server = bench.keep(await HttpServer.start(bench));
  const load = new MixedLoad(bench, server.port);
  const growth = new Growth(TOLERANCES);
  bench.say(`# Soaked ${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC, ${minutes} minutes\n\n${bench.machine()}\n`);
  load.start();
  let due = SAMPLE_MS;
  for (let now = 0; now < minutes * 60_000; now = performance.now() - load.begun) {
    for (const { name, process } of load.instances) if (process.over) return [`${name}: ${await process.ended}`];
    await load.push();
    if (now >= due) {
      due += SAMPLE_MS;
      growth.add(await sample(load));
      for (const { tally } of load.instances) tally.read();
      load.instances[0].command(["failed", "remove", "--all", "--yes"]);
    }
    await sleep(PUSH_MS);
  }
  const problems = await settled(load);
  const verdicts = growth.judge(Math.floor(growth.samples.length / 4));
  bench.say(`${Growth.show(verdicts)}\n`);
  bench.say(`Jobs: ${[...load.pushed].map(([name, count]) => `${name} ${count}`).join(", ")}`);
  for (const { name, grew } of verdicts) if (grew) problems.push(`${name} grew beyond its tolerance`);
  return [...problems, ...(await left(load))];
}

async function sample(load) {
  const { client } = bench.redis;
  const info = await client.info();
  const read = (field) => Number(info.match(new RegExp(`^${field}:(\\d+)`, "m"))[1]);
  const { rss, descriptors, threads, processes } = load.cost();
  const values = [rss, descriptors, threads, processes, await client.dbsize(), read("used_memory") / 2 ** 20, read("connected_clients")];
  const sample = Object.fromEntries(Object.keys(TOLERANCES).map((name, index) => [name, values[index]]));
  const shown = Object.entries(sample).map(([name, value]) => `${name.replace(/.*: /, "")} ${Math.round(value * 10) / 10}`);
  bench.tell(`  ${Math.round((performance.now() - load.begun) / 1000)} s: ${shown.join("; ")}`);
  return sample;
}

// Waits for the last jobs; tells what does not add up.
async function settled(load) {
  const end = performance.now() + SETTLE_S * 1000;
  for (;;) {
    const problems = load.amiss();
    if (problems.length === 0 || performance.now() > end) return problems;
    await sleep(500);
  }
}

// Ends the instances; tells what they leave.
async function left(load) {
  const problems = [];
  const stopped = performance.now();
  await Promise.all(load.instances.map(({ process }) => process.stop()));
  bench.say(`Drained in ${((performance.now() - stopped) / 1000).toFixed(1)} s.`);
  for (const { name, process } of load.instances) {
    const how = await process.ended;
    if (!how.endsWith("ended with 0")) problems.push(`${name}: ${how}`);
  }
  const { client } = bench.redis;
  for (const pattern of ["resque:worker:*", "resque:stat:*+*", "resque:*lock*", "resque:windlass:lane*"]) {
    const keys = await client.keys(pattern);
    if (keys.length > 0) problems.push(`${keys.length} keys were left as ${pattern}, such as ${keys[0]}`);
  }
  for (const key of ["resque:workers", "resque:queue:quick", "resque:queue:slow", "resque:windlass:instances"]) {
    if (await client.exists(key)) problems.push(`${key} was left`);
  }
  return problems;
}
