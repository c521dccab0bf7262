// bench/beside: the binary of this checkout and another one, in turns; ratios of the first to the second.

import { chmodSync, copyFileSync, statSync } from "node:fs";
import { join } from "node:path";

import { idle } from "./chapters/idle.mjs";
import { pickUps } from "./chapters/pickup.mjs";
import { Bench } from "./lib/bench.mjs";
import { drain } from "./lib/drain.mjs";
import { interleave, pick } from "./lib/interleave.mjs";
import { Stamps } from "./lib/stamps.mjs";
import { percentile, ratios } from "./lib/statistics.mjs";
import { range, table } from "./lib/table.mjs";
import { HttpServer } from "./systems/http_server.mjs";
import { Windlass } from "./systems/windlass.mjs";
import { WindlassOnSqlite } from "./systems/windlass_sqlite.mjs";

const [other, ...named] = process.argv.slice(2);
const PROCESSORS = 50;
const LABELS = { rate: "jobs/s", workerCpu: "worker CPU, µs/job", redisCpu: "Redis CPU, µs/job" };

// Each makes its two systems with `make(binary)`, measures one with `measure`, and tells the fields that it measured.
const SUBJECTS = {
  drain: { jobs: 300_000, make: (bench, options) => new Windlass(bench, "drain", options), measure: drain },
  sqlite: { jobs: 120_000, make: (bench, options) => new WindlassOnSqlite(bench, "sqlite", options), measure: drain },
  exec: {
    jobs: 15_000,
    make: (bench, options) => new Windlass(bench, "exec", { ...options, task: "true", run: 'exec = ["/bin/true"]' }),
    measure: drain,
  },
  rpc: { jobs: 200_000, make: (bench, options) => withChild(bench, "rpc_worker.py", 16, options), measure: drain },
  http: {
    jobs: 100_000,
    prepare: async (bench) => ({ server: bench.keep(await HttpServer.start(bench)) }),
    make: (bench, { server, ...options }) => {
      const run = `http = "http://127.0.0.1:${server.port}/"\nconnections = 50`;
      return new Windlass(bench, "http", { ...options, task: "post", run });
    },
    measure: drain,
  },
  pickup: {
    prepare: async (bench) => ({ stamps: bench.keep(await Stamps.open()) }),
    make: (bench, { stamps, ...options }) => {
      const system = withChild(bench, "stamp_worker.py", 1, options);
      system.stamps = stamps;
      return system;
    },
    measure: async (bench, system) => {
      const times = await pickUps(bench, system, system.stamps, 200);
      return { "p50, ms": percentile(times, 0.5), "p99, ms": percentile(times, 0.99) };
    },
  },
  idle: {
    rounds: 2,
    make: (bench, options) => new Windlass(bench, "idle", options),
    measure: async (bench, system) => {
      const { commands, cpu, rss } = await idle(bench, system);
      return { "commands/s": commands, "CPU, % of a core": cpu, "RSS, MiB": rss };
    },
  },
};

function withChild(bench, script, depth, options) {
  const run = `rpc = ["../worker.py"]\nprocesses = 1\ndepth = ${depth}`;
  const system = new Windlass(bench, script, { ...options, task: "echo", run });
  const worker = join(system.dir, "worker.py");
  copyFileSync(bench.path(`peers/python/${script}`), worker);
  chmodSync(worker, 0o755);
  return system;
}

const unknown = named.find((name) => !(name in SUBJECTS));
if (!other || unknown) {
  console.error(`usage: bench/beside BINARY [${Object.keys(SUBJECTS).join("|")} ...]${unknown ? `, not ${unknown}` : ""}`);
  process.exit(64);
}
const bench = await Bench.start({ jobs: process.env.JOBS ? Number(process.env.JOBS) : null, quick: false });
try {
  bench.say(`# Side by side ${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC\n\n${bench.machine()}`);
  bench.say(`- beside ${other}, ${bench.said(other, "--version")}; binaries ${megabytes(bench.windlass)} and ${megabytes(other)} MB`);
  bench.say(`- Load before: ${bench.load()}\n`);
  const rows = [];
  for (const name of named.length > 0 ? named : Object.keys(SUBJECTS)) rows.push(...(await compare(name, SUBJECTS[name])));
  bench.say(table(["measured", "this checkout", "the other", "ratio"], rows));
  for (const one of bench.invalid) bench.say(`- invalid, and left out: ${one}`);
  bench.say(`\nLoad after: ${bench.load()}`);
} finally {
  await bench.end();
}
process.exit(0);

async function compare(name, { jobs, prepare, make, measure, rounds = 5 }) {
  bench.tell(`== ${name}`);
  const prepared = (await prepare?.(bench)) ?? {};
  const systems = [bench.windlass, other].map((binary) => make(bench, { ...prepared, processors: PROCESSORS, binary }));
  for (const system of systems) bench.keep(system);
  rounds = Number(process.env.ROUNDS ?? rounds);
  const count = jobs && bench.jobs(jobs);
  // Each goes first in every other round, because what runs second finds a warmer machine.
  const values = [[], []];
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? [0, 1] : [1, 0];
    const measured = await interleave(bench, order.map((index) => systems[index]), (system) => measure(bench, system, count), 1);
    order.forEach((index, place) => values[index].push(measured[place][0]));
  }
  await bench.closeKept();
  // SQLite has no server that could cost anything.
  const measured = values.flat().filter(Boolean);
  const fields = Object.keys(measured[0] ?? {}).filter((field) => measured.some((value) => value[field] !== 0));
  return fields.map((field) => {
    const [mine, theirs] = values.map((list) => pick(list, field));
    return [`${name}: ${LABELS[field] ?? field}`, range(mine), range(theirs), range(ratios(mine, theirs))];
  });
}

function megabytes(file) {
  return (statSync(file).size / 1e6).toFixed(2);
}
