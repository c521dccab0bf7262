// bench/large: a Redis that holds a lot, and how long everything takes on it.

import { execFile, execFileSync } from "node:child_process";
import { freemem } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { Bench } from "./lib/bench.mjs";
import { commandsPerSecond } from "./lib/commands.mjs";
import { measure, routes } from "./lib/routes.mjs";
import { freePort } from "./lib/redis.mjs";
import { now } from "./lib/stamps.mjs";
import { sleep, until } from "./lib/processes.mjs";
import { SlowCalls } from "./lib/slow_calls.mjs";
import { median, percentile } from "./lib/statistics.mjs";
import { number, table } from "./lib/table.mjs";
import { LargeStore } from "./systems/large_store.mjs";
import { Windlass } from "./systems/windlass.mjs";

const FULL = { QUEUED: 5_000_000, DELAYED: 1_000_000, FAILED: 300_000, WORKERS: 10_000, QUEUES: 500, NAMES: 100_000 };
const TIMES = 3;
const IDLE_S = 30;
// For so long a leader has looked at the queues before anybody asks.
const LEADING_S = 20;
const DUE_SECONDS = 10;
const PICK_UPS = 50;
const FAR = 24 * 60 * 60;
// Bytes of each thing in Redis, with plenty of room: for the question whether there is enough memory.
const BYTES = { QUEUED: 120, DELAYED: 700, FAILED: 1000, WORKERS: 2000, QUEUES: 1000, NAMES: 200 };

const COMMANDS = [
  ["queues"],
  ["workers"],
  ["failed", "list"],
  ["failed", "count"],
  ["delayed", "list"],
  ["delayed", "timestamps"],
  ["stats"],
  ["locks"],
  ["details"],
  ["plan"],
  ["periodic"],
  ["jobs", "list"],
  ["explain"],
  ["explain", "queue", "q000"],
  ["explain", "task", "noop"],
  ["explain", "schedule", "none"],
  ["explain", "failed", "0123456789abcdef"],
  ["explain", "job", "0123456789abcdef-0-1-1"],
  ["explain", "job", "--task", "noop", "--queue", "q000", "--args", '[-1,{"a":"b"}]'],
];
// What the routes are asked about, and with what.
const NAMES = {
  queue: "q000",
  task: "noop",
  id: "0123456789abcdef",
  queries: {
    "/api/v1/queues": ["", "?limit=200"],
    "/api/v1/queues/q000/jobs": ["", "?limit=200&from=tail"],
    "/api/v1/failed": ["", "?limit=200", "?task=none"],
    "/api/v1/workers": ["", "?limit=200"],
    "/api/v1/explain": ["?queue=q000", "?task=noop", "?failed=0123456789abcdef", "?job=0123456789abcdef-0-1-1"],
  },
};

function read() {
  const sizes = {};
  for (const name of ["SCALE", ...Object.keys(FULL)]) {
    const text = process.env[name] ?? "";
    if (text !== "" && !(Number(text) > 0 && Number(text) < 1e9)) usage(`${name} must be a number above 0`);
    sizes[name] = text === "" ? null : Number(text);
  }
  const scale = sizes.SCALE ?? 1;
  return Object.fromEntries(
    Object.entries(FULL).map(([name, full]) => [name, Math.max(1, Math.round((sizes[name] ?? full) * scale))]),
  );
}

function usage(problem) {
  console.error(`bench/large: ${problem}\nusage: [${Object.keys(FULL).map((name) => `${name}=N`).join("] [")}] [SCALE=X] bench/large`);
  process.exit(64);
}

if (process.argv.length > 2) usage("it takes no arguments");
const sizes = read();
const needed = Object.entries(BYTES).reduce((sum, [name, bytes]) => sum + bytes * sizes[name], 512 << 20);
if (needed > freemem()) usage(`about ${(needed / 2 ** 30).toFixed(1)} GiB are needed, ${(freemem() / 2 ** 30).toFixed(1)} are free`);

const bench = await Bench.start({});
bench.windlass = process.env.WINDLASS ?? bench.windlass;
const { client } = bench.redis;
const slow = new SlowCalls(client);
const rows = [];
try {
  await run();
} finally {
  await bench.end();
}
process.exit(0);

function row(what, seconds, rss, longest, remark = "") {
  bench.tell(`  ${what}: ${number(seconds)} s, ${number(rss)} MiB, longest call ${number(longest.ms)} ms (${longest.what}); ${remark}`);
  rows.push([what, number(seconds), number(rss), number(longest.ms), longest.what, remark]);
}

async function run() {
  bench.say(`# Measured ${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC\n\n${bench.machine()}`);
  bench.say(`- Load before: ${bench.load()}`);
  const store = new LargeStore(bench.redis, {
    queued: sizes.QUEUED,
    delayed: sizes.DELAYED,
    failed: sizes.FAILED,
    workers: sizes.WORKERS,
    queues: sizes.QUEUES,
    names: sizes.NAMES,
  });
  // Fifty a second, far away.
  const far = Math.floor(Date.now() / 1000) + FAR;
  bench.tell("filling");
  await store.fillQueues();
  await store.fillNames();
  const before = performance.now();
  await store.fillDelayed(far, Math.ceil(sizes.DELAYED / 50));
  const filling = (performance.now() - before) / 1000;
  await store.fillFailed();
  await store.fillWorkers();
  const memory = Number((await client.info("memory")).match(/used_memory:(\d+)/)[1]) / 2 ** 20;
  bench.say(`- ${Object.entries(sizes).map(([name, size]) => `${size.toLocaleString("en-US")} ${name.toLowerCase()}`).join(", ")}`);
  bench.say(`- Redis: ${number(await client.dbsize())} keys, ${number(memory)} MiB\n`);

  await commands();
  const of_routes = await ofRoutes();
  const of_file = await ofFile();
  await idle("idle beside all that, 50 processors", ["elsewhere"]);
  if (process.env.ONLY === "looks") return report(store, of_routes, of_file);
  await firstJobs();
  await due(store, filling);
  await store.emptyQueues();
  await store.forgetNames();
  await idle(`idle on ${sizes.QUEUES} empty queues ("*"), 50 processors`, ["*"]);
  await pickUps(store);
  await report(store, of_routes, of_file);
}

async function report(store, of_routes, of_file) {
  bench.say(table(["", "s", "RSS at most, MiB", "longest call, ms", "which", ""], rows));
  bench.say(`\nEvery route that reads, with a leader:\n\n${of_routes}\n\nThe same on a file:\n\n${of_file}`);
  const workers = await client.scard("resque:workers");
  const failed = await client.llen("resque:failed");
  bench.say(`\nAfterwards ${number(workers)} workers and ${number(failed)} failed jobs were there, as before: ${workers === sizes.WORKERS && failed === sizes.FAILED ? "yes" : "NO"}.`);
  bench.say(`Load after: ${bench.load()}`);
}

function daemon(name, queues, processors) {
  const list = queues.map((queue) => `"${queue}"`).join(", ");
  const settings = `queues = [${list}]\nmin_task_processors = ${processors}\nmax_task_processors = ${processors}\n`;
  return new Windlass(bench, name, { settings });
}

// The commands of the command line, each a few times.
async function commands() {
  const windlass = daemon("commands", ["*"], 10);
  for (const command of COMMANDS) {
    await slow.reset();
    const calls = [];
    for (let n = 0; n < TIMES; n++) calls.push(await call(windlass, command));
    const pick = (field) => calls.map((one) => one[field]);
    const remark = `${number(median(pick("bytes")) / 1000)} kB of output`;
    row(`windlass ${command.join(" ")}`, median(pick("seconds")), Math.max(...pick("peak")), await slow.longest(), remark);
  }
}

async function call(windlass, command) {
  const args = [bench.path("lib/measured_call.py"), windlass.binary, "--config", windlass.config, ...command];
  // 1 and 2 are answers of `explain`: something is in the way, or there is no such thing.
  const answers = (error) => (command[0] === "explain" && error.code <= 2 ? error : Promise.reject(error));
  const { stdout } = await promisify(execFile)("python3", args, { cwd: windlass.dir }).catch(answers);
  return JSON.parse(stdout);
}

// A daemon that leads and serves, and works on nothing that holds jobs.
async function serving(name, more) {
  const port = await freePort();
  const settings = 'queues = ["elsewhere"]\nmin_task_processors = 10\nmax_task_processors = 10\n';
  const windlass = new Windlass(bench, name, { settings: `${settings}[http]\nlisten = "127.0.0.1:${port}"\n`, ...more });
  const worker = windlass.start();
  const base = `http://127.0.0.1:${port}`;
  const answers = async () => (await fetch(`${base}/health/ready`).catch(() => ({ ok: false }))).ok;
  await until("answer of the server", answers, { worker, everyMs: 50 });
  // The leader looks at the queues once more and more.
  await sleep(LEADING_S * 1000);
  return { windlass, worker, base };
}

async function ofRoutes() {
  const { worker, base } = await serving("routes", {});
  const paths = await routes(base, NAMES);
  const told = await measure(base, paths, { slow, redis: bench.redis, tell: (text) => bench.tell(text) });
  await worker.stop();
  return told;
}

async function ofFile() {
  const file = join(bench.dir, "large.db");
  const first = new Windlass(bench, "file", { processors: 1, store: `sqlite:${file}` });
  first.command(["enqueue", "noop"]);
  execFileSync("python3", [bench.path("lib/fill_file.py"), file, JSON.stringify(sizes)], { stdio: "inherit" });
  const { worker, base } = await serving("file", { store: `sqlite:${file}` });
  const told = await measure(base, await routes(base, NAMES), { tell: (text) => bench.tell(text) });
  await worker.stop();
  return told;
}

// From the start of the daemon to the first job, on all queues; and how fast it goes on.
async function firstJobs() {
  const windlass = daemon("first job", ["*"], 50);
  const times = [];
  let [rss, rate, stopping] = [0, 0, 0];
  await slow.reset();
  for (let n = 0; n < TIMES; n++) {
    const processed = () => bench.redis.number("resque:stat:processed");
    const [done, begun] = [await processed(), now()];
    const worker = windlass.start();
    await until("first job", async () => (await processed()) > done, { worker, everyMs: 1 });
    times.push(Number(now() - begun) / 1e9);
    const [from, at] = [await processed(), performance.now()];
    await sleep(500);
    rate = (((await processed()) - from) / (performance.now() - at)) * 1000;
    rss = Math.max(rss, worker.cost().rss);
    const stopped = performance.now();
    await worker.stop();
    stopping = Math.max(stopping, (performance.now() - stopped) / 1000);
  }
  const remark = `then ${number(rate)} jobs/s; drained within ${number(stopping)} s`;
  row("from the daemon's start to its first job", median(times), rss, await slow.longest(), remark);
}

async function idle(what, queues) {
  const worker = daemon(what, queues, 50).start();
  await sleep(5000);
  await slow.reset();
  const processed = await bench.redis.number("resque:stat:processed");
  const [before, served] = [worker.cost(), bench.redis.cpu()];
  const { rate, most } = await commandsPerSecond(bench.redis, IDLE_S);
  const [after, serving] = [worker.cost(), ((bench.redis.cpu() - served) / IDLE_S) * 100];
  if ((await bench.redis.number("resque:stat:processed")) !== processed) throw new Error(`${what}: it was not idle`);
  const remark = `${number(rate)} commands/s (${most}), ${number(((after.cpu - before.cpu) / IDLE_S) * 100)} % of a core, Redis ${number(serving)} %`;
  row(what, IDLE_S, after.rss, await slow.longest(), remark);
  await worker.stop();
}

// All delayed jobs become due under a running scheduler, within a few seconds.
async function due(store, filling) {
  await store.clearDelayed();
  const first = Math.ceil(Date.now() / 1000 + 2 * filling + 5);
  await store.fillDelayed(first, DUE_SECONDS);
  if (Date.now() / 1000 > first) throw new Error("the delayed jobs were due before all of them were there");
  const worker = daemon("due", ["elsewhere"], 10).start();
  await sleep(Math.max(0, first * 1000 - Date.now()));
  await slow.reset();
  let rss = 0;
  const promoted = async () => {
    rss = Math.max(rss, worker.cost().rss);
    return (await client.llen("resque:queue:promoted")) >= sizes.DELAYED;
  };
  await until("promotion of the last delayed job", promoted, { worker, seconds: 600, everyMs: 20 });
  const late = Date.now() / 1000 - (first + DUE_SECONDS - 1);
  const twice = (await client.llen("resque:queue:promoted")) - sizes.DELAYED;
  const left = await client.zcard("resque:delayed_queue_schedule");
  const remark = `${twice} too many, ${left} seconds left over`;
  const what = `${number(sizes.DELAYED)} delayed jobs become due within ${DUE_SECONDS} s: the last one's delay`;
  row(what, late, rss, await slow.longest(), remark);
  await worker.stop();
}

// From an RPUSH on the last of all queues to the job's end, all queues being empty.
async function pickUps(store) {
  const worker = daemon("pick-up", ["*"], 50).start();
  const queue = store.queue(sizes.QUEUES - 1);
  const processed = () => bench.redis.number("resque:stat:processed");
  await sleep(3000);
  await slow.reset();
  const times = [];
  for (let n = 0; n < PICK_UPS; n++) {
    const [done, begun] = [await processed(), performance.now()];
    await client.rpush(`resque:queue:${queue}`, store.payload(queue, n));
    await until("job", async () => (await processed()) > done, { worker, everyMs: 0 });
    times.push((performance.now() - begun) / 1000);
    await sleep(50);
  }
  const remark = `p99 ${number(percentile(times, 0.99) * 1000)} ms, from RPUSH to the end`;
  row(`pick-up on the last of ${sizes.QUEUES} empty queues, p50`, percentile(times, 0.5), worker.cost().rss, await slow.longest(), remark);
  await worker.stop();
}
