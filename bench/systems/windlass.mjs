// Windlass, as a binary with a folder of configuration.

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { start } from "../lib/processes.mjs";
import { ResqueQueue } from "./resque_queue.mjs";

export const SAFETY = "on record from the pop on; back on its queue within a lease (15 s), at once on the same host";

// `run` is the [run] table of its one task, `settings` the lines of tasks.toml before [store]. For more tasks `tasks` lists
// them: a name, a queue (or "bench"), further keys as `more`, and `run`.
export class Windlass extends ResqueQueue {
  constructor(bench, name, { processors, run = 'builtin = "noop"', task = "noop", tasks, settings, log, store, binary } = {}) {
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
    for (const { name, queue = "bench", more = "", run: how } of tasks ?? [{ name: task, run }]) {
      const text = `name = "${name}"\nqueue = "${queue}"\n${more}\n[run]\n${how}\n`;
      writeFileSync(join(this.dir, `tasks.d/${name}.toml`), text);
    }
  }

  start({ stderr = "inherit" } = {}) {
    return start(this.binary, ["--config", this.config, "run"], { stderr });
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
