// Drains no-op jobs with Windlass and with node-resque's MultiWorker, in turns, on one machine and
// one Redis, and prints medians and their ratio; then Windlass on SQLite, the pick-up of a plain
// RPUSH, and what an idle daemon costs.
//
//   cargo build --release && (cd tests/compat/node && npm ci) && node bench/drain.mjs [JOBS] [ROUNDS]

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const require = createRequire(join(root, "tests/compat/node/package.json"));
const Redis = require("ioredis");
const binary = join(root, "target/release/windlass");
const [jobs, rounds] = [Number(process.argv[2] ?? 200_000), Number(process.argv[3] ?? 3)];
const dir = mkdtempSync(join(tmpdir(), "windlass-bench-"));
const socket = join(dir, "redis.sock");
const payload = JSON.stringify({ class: "noop", queue: "bench", args: [1, { a: "b" }] });

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
const children = [];

function start(command, args, options = {}) {
  const child = spawn(command, args, { stdio: ["ignore", "ignore", "inherit"], ...options });
  children.push(child);
  return child;
}

async function end(child, signal = "SIGTERM") {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((done) => child.once("exit", done));
  child.kill(signal);
  await ended;
}

function windlassConfig(name, store, processors) {
  const path = join(dir, `${name}.toml`);
  mkdirSync(join(dir, "tasks.d"), { recursive: true });
  writeFileSync(join(dir, "tasks.d/noop.toml"), 'name = "noop"\nqueue = "bench"\n[run]\nbuiltin = "noop"\n');
  writeFileSync(
    path,
    `queues = ["bench"]\nmin_task_processors = ${processors}\nmax_task_processors = ${processors}\n` +
      `tasks_dir = "tasks.d"\n[store]\nurl = "${store}"\n[log]\nlevel = "warn"\n`,
  );
  return path;
}

async function preload(redis) {
  await redis.flushall();
  await redis.sadd("resque:queues", "bench");
  for (let left = jobs; left > 0; left -= 1000) {
    await redis.rpush("resque:queue:bench", ...Array(Math.min(left, 1000)).fill(payload));
  }
}

// Jobs a second between the first sight of progress and the end.
async function rate(read) {
  let first;
  for (;;) {
    const done = await read();
    const now = performance.now();
    if (done > 0 && !first) first = { done, now };
    if (done >= jobs) return ((done - first.done) / (now - first.now)) * 1000;
    await sleep(10);
  }
}

const processed = async (redis) => Number((await redis.get("resque:stat:processed")) ?? 0);

async function drainWindlass(redis, processors) {
  await preload(redis);
  const config = windlassConfig(`redis-${processors}`, `redis+unix://${socket}`, processors);
  const daemon = start(binary, ["--config", config, "run"]);
  const result = await rate(() => processed(redis));
  await end(daemon);
  return result;
}

async function drainNodeResque(redis) {
  await preload(redis);
  const worker = start(process.execPath, [join(root, "bench/multiworker.mjs"), socket, "10"]);
  const result = await rate(() => processed(redis));
  await end(worker, "SIGKILL");
  return result;
}

async function drainSqlite(round) {
  const config = windlassConfig(`sqlite-${round}`, `sqlite:${join(dir, `bench-${round}.db`)}`, 50);
  const lines = `{"task":"noop","args":[1,{"a":"b"}]}\n`.repeat(jobs);
  execFileSync(binary, ["--config", config, "enqueue", "--bulk", "-"], { input: lines, stdio: ["pipe", "ignore", "inherit"] });
  const stats = () => JSON.parse(execFileSync(binary, ["--config", config, "--json", "stats"]));
  const daemon = start(binary, ["--config", config, "run"]);
  const result = await rate(async () => {
    await sleep(50);
    return stats().processed;
  });
  await end(daemon);
  return result;
}

async function pickUp(redis) {
  const samples = [];
  for (let n = 0; n < 500; n++) {
    await sleep(5 + Math.random() * 10);
    const before = performance.now();
    await redis.rpush("resque:queue:bench", payload);
    while ((await redis.llen("resque:queue:bench")) > 0);
    samples.push(performance.now() - before);
  }
  samples.sort((a, b) => a - b);
  return { p50: samples[250], p99: samples[495] };
}

// CPU seconds and resident megabytes of a process and its descendants.
function cost(pid) {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  const sum = { cpu: (Number(stat[11]) + Number(stat[12])) / 100, rss: Number(status.match(/VmRSS:\s+(\d+)/)[1]) / 1024 };
  for (const child of readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean)) {
    const more = cost(child);
    sum.cpu += more.cpu;
    sum.rss += more.rss;
  }
  return sum;
}

async function commands(redis) {
  const info = await redis.info("commandstats");
  return [...info.matchAll(/calls=(\d+)/g)].reduce((sum, match) => sum + Number(match[1]), 0);
}

try {
  start("redis-server", ["--port", "0", "--unixsocket", socket, "--save", "", "--dir", dir], { stdio: "ignore" });
  await sleep(500);
  const redis = new Redis(socket);
  const [ours, theirs, sqlite] = [[], [], []];
  for (let round = 0; round < rounds; round++) {
    ours.push(await drainWindlass(redis, 50));
    theirs.push(await drainNodeResque(redis));
    sqlite.push(await drainSqlite(round));
    console.log(`round ${round + 1}: windlass ${ours.at(-1).toFixed()}, node-resque ${theirs.at(-1).toFixed()}, sqlite ${sqlite.at(-1).toFixed()} jobs/s`);
  }
  console.log(`medians of ${rounds}, ${jobs} no-op jobs:`);
  console.log(`  windlass, Redis, 50 processors       ${median(ours).toFixed()} jobs/s`);
  console.log(`  node-resque MultiWorker, 10          ${median(theirs).toFixed()} jobs/s`);
  console.log(`  ratio, round by round                ${median(ours.map((rate, n) => rate / theirs[n])).toFixed(1)}`);
  console.log(`  windlass, SQLite, 50 processors      ${median(sqlite).toFixed()} jobs/s`);

  await redis.flushall();
  const daemon = start(binary, ["--config", windlassConfig("idle", `redis+unix://${socket}`, 50), "run"]);
  await sleep(2000);
  const { p50, p99 } = await pickUp(redis);
  console.log(`  pick-up of a plain RPUSH, idle       p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`);
  await sleep(2000);
  const [before, called] = [cost(daemon.pid), await commands(redis)];
  await sleep(20_000);
  const after = cost(daemon.pid);
  console.log(
    `  idle, 50 processors                  ${(((await commands(redis)) - called - 1) / 20).toFixed(1)} commands/s, ` +
      `${(((after.cpu - before.cpu) / 20) * 100).toFixed(2)} % CPU, ${after.rss.toFixed(1)} MB RSS`,
  );
  await end(daemon);
  redis.disconnect();
} finally {
  for (const child of children.reverse()) await end(child, "SIGKILL");
  rmSync(dir, { recursive: true, force: true });
}
