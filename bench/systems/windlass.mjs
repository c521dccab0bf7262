// Windlass, as a binary with a folder of configuration.

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { start } from "../lib/processes.mjs";
import { ResqueQueue } from "./resque_queue.mjs";

export const SAFETY = "on record from the pop on; back on its queue within a lease (15 s), at once on the same host";

// `run` is the [run] table of its one task, `settings` the lines of tasks.toml before [store].
export class Windlass extends ResqueQueue {
  constructor(bench, name, { processors, run = 'builtin = "noop"', task = "noop", settings, log, store, binary } = {}) {
    super(bench, name, task);
    this.safety = SAFETY;
    this.binary = binary ?? bench.windlass;
    this.dir = mkdtempSync(join(bench.dir, "windlass-"));
    this.config = join(this.dir, "config/tasks.toml");
    mkdirSync(join(this.dir, "config"));
    mkdirSync(join(this.dir, "tasks.d"));
    settings ??= `queues = ["bench"]\nmin_task_processors = ${processors}\nmax_task_processors = ${processors}\n`;
    writeFileSync(
      this.config,
      `${settings}[store]\nurl = "${store ?? bench.redis.url}"\n${log ?? '[log]\nlevel = "warn"\n'}`,
    );
    writeFileSync(join(this.dir, `tasks.d/${task}.toml`), `name = "${task}"\nqueue = "bench"\n[run]\n${run}\n`);
  }

  start({ stderr = "inherit" } = {}) {
    return start(this.binary, ["--config", this.config, "run"], { stderr });
  }

  // What `check` has against the configuration, or null.
  refusal() {
    try {
      execFileSync(this.binary, ["--config", this.config, "--json", "check"], { stdio: ["ignore", "pipe", "ignore"] });
      return null;
    } catch (error) {
      if (error.status === undefined) throw error;
      return JSON.parse(error.stdout).problems.map((problem) => problem.message).join("; ");
    }
  }

  command(args, input) {
    return execFileSync(this.binary, ["--config", this.config, "--json", ...args], {
      input,
      stdio: [input === undefined ? "ignore" : "pipe", "pipe", "inherit"],
    });
  }
}

// A log that holds one line per job.
export class LoggedWindlass extends Windlass {
  constructor(bench, name, processors) {
    super(bench, name, { processors, log: '[log]\nlevel = "info"\nformat = "json"\n' });
    this.log = join(this.dir, "log.json");
  }

  start() {
    return super.start({ stderr: openSync(this.log, "w") });
  }
}
