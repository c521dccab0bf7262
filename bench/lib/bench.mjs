// A run: its options, its temporary folder, its Redis, and the end of all that.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, loadavg, release, tmpdir, totalmem } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { killAll, stopAll } from "./processes.mjs";
import { RedisServer } from "./redis.mjs";

export class Bench {
  static async start({ rounds, quick }) {
    const bench = new Bench();
    bench.rounds = rounds;
    bench.quick = quick;
    bench.root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
    bench.target = resolve(bench.root, process.env.CARGO_TARGET_DIR ?? "target");
    bench.windlass = join(bench.target, "release/windlass");
    bench.python = join(bench.target, "bench/python/bin/python");
    bench.invalid = [];
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

  // A file of bench/.
  path(name) {
    return join(this.root, "bench", name);
  }

  example(name) {
    return join(this.target, "release/examples", name);
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

  // The machine and all versions.
  surroundings() {
    const peer = (name) => JSON.parse(readFileSync(this.path(`peers/node/node_modules/${name}/package.json`))).version;
    const said = (command, ...args) => execFileSync(command, args, { encoding: "utf8", cwd: this.root }).trim();
    const rq = readFileSync(this.path("peers/python/requirements.txt"), "utf8").match(/^rq==(.*)$/m)[1];
    const gem = said("ruby", "-e", 'require "sidekiq"; print Sidekiq::VERSION');
    const lines = [
      `${cpus().length} × ${cpus()[0].model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}`,
      `${said(this.windlass, "--version")} (${this.commit()}), ${said("rustc", "--version")}`,
      `Redis ${this.redis.version} over TCP loopback, no persistence`,
      `Node.js ${process.version}: node-resque ${peer("node-resque")}, BullMQ ${peer("bullmq")}, bee-queue ${peer("bee-queue")}`,
      `Ruby ${said("ruby", "-e", "print RUBY_VERSION")}: Sidekiq ${gem}; ${said(this.python, "--version")}: RQ ${rq}`,
    ];
    return lines.map((line) => `- ${line}`).join("\n");
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
