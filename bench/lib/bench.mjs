// A run: its options, its temporary folder, its Redis, and the end of all that.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, loadavg, release, tmpdir, totalmem } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { installed, killAll, stopAll } from "./processes.mjs";
import { RedisServer } from "./redis.mjs";

// How many jobs the longest drains have, unless somebody says otherwise.
export const MOST_JOBS = 600_000;

export class Bench {
  static async start({ jobs, quick }) {
    const bench = new Bench();
    bench.share = (jobs ?? MOST_JOBS) / MOST_JOBS;
    bench.quick = quick;
    bench.root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
    bench.target = resolve(bench.root, process.env.CARGO_TARGET_DIR ?? "target");
    bench.windlass = join(bench.target, "release/windlass");
    bench.python = join(bench.target, "bench/python/bin/python");
    bench.invalid = [];
    bench.skipped = new Map();
    bench.closing = [];
    bench.dir = mkdtempSync(join(tmpdir(), "windlass-bench-"));
    process.once("exit", () => {
      killAll();
      rmSync(bench.dir, { recursive: true, force: true });
    });
    for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]]) {
      process.once(signal, async () => {
        bench.stopping = true;
        bench.tell(`${signal}: stopping what was started`);
        await stopAll();
        process.exit(code);
      });
    }
    bench.redis = await RedisServer.start(bench.dir);
    return bench;
  }

  // When everything is being stopped, nothing more is to start; the process ends meanwhile.
  async unlessStopping() {
    if (this.stopping) await new Promise(() => {});
  }

  // Fewer of something when it is to be quick.
  some(many, few) {
    return this.quick ? few : many;
  }

  // A number of jobs, of which others may want another share; in whole thousands if it is of thousands.
  jobs(many, few) {
    if (this.quick) return few;
    const unit = many >= 10_000 ? 1000 : 10;
    return Math.max(unit, Math.round((many * this.share) / unit) * unit);
  }

  // Those systems that can be had here. `of` finds the system in what is listed.
  present(listed, of = (system) => system) {
    return listed.filter((one) => {
      const reason = of(one).missing?.();
      if (reason) this.skipped.set(of(one).name, reason);
      return !reason;
    });
  }

  // A file of bench/.
  path(name) {
    return join(this.root, "bench", name);
  }

  // A program of bench/Cargo.toml.
  program(name) {
    return join(this.target, "release", name);
  }

  // Progress, beside the report.
  tell(text) {
    process.stderr.write(`${text}\n`);
  }

  say(text) {
    process.stdout.write(`${text}\n`);
  }

  // What has to be closed when the chapter is over.
  keep(system) {
    if (system.close) this.closing.push(system);
    return system;
  }

  async closeKept() {
    for (const system of this.closing.splice(0)) await system.close();
  }

  async end() {
    await this.closeKept();
    this.redis.client.disconnect();
    await stopAll();
  }

  // The machine, and what runs on it without the peers.
  machine() {
    const lines = [
      `${cpus().length} × ${cpus()[0].model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}`,
      `${this.said(this.windlass, "--version")} (${this.commit()}), ${this.said("rustc", "--version")}`,
      `Redis ${this.redis.version} over TCP loopback, no persistence`,
    ];
    return lines.map((line) => `- ${line}`).join("\n");
  }

  said(command, ...args) {
    return execFileSync(command, args, { encoding: "utf8", cwd: this.root }).trim();
  }

  // The machine and all versions.
  surroundings() {
    const peer = (name) => JSON.parse(readFileSync(this.path(`peers/node/node_modules/${name}/package.json`))).version;
    const rq = readFileSync(this.path("peers/python/requirements.txt"), "utf8").match(/^rq==(.*)$/m)[1];
    const ruby = installed("sidekiq")
      ? this.said("ruby", "-e", 'require "sidekiq"; print "Ruby #{RUBY_VERSION}: Sidekiq #{Sidekiq::VERSION}"')
      : "no Sidekiq";
    const lines = [
      `Node.js ${process.version}: node-resque ${peer("node-resque")}, BullMQ ${peer("bullmq")}, bee-queue ${peer("bee-queue")}`,
      `${ruby}; ${this.said(this.python, "--version")}: RQ ${rq}`,
    ];
    return [this.machine(), ...lines.map((line) => `- ${line}`)].join("\n");
  }

  commit() {
    try {
      const options = { encoding: "utf8", cwd: this.root, stdio: ["ignore", "pipe", "ignore"] };
      return execFileSync("git", ["describe", "--always", "--dirty"], options).trim();
    } catch {
      return "not a git checkout";
    }
  }

  // How busy the machine is beside us; measurements of a busy machine mean little.
  load() {
    return loadavg().map((load) => load.toFixed(2)).join(" ");
  }
}
