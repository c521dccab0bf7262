// node-resque: its MultiWorker, or its scheduler.

import { start } from "../lib/processes.mjs";
import { ResqueQueue } from "./resque_queue.mjs";

const SCRIPT = "peers/node/node_resque.mjs";

export class NodeResque extends ResqueQueue {
  // Without a number of processors its own defaults hold. It starts one processor per check, so that a measurement of
  // its speed lets it check often.
  constructor(bench, name, { processors, checkMs = 10, task = "noop" } = {}) {
    super(bench, name, task);
    this.safety = "on record from the pop on; noticed after 60 min, then failed";
    this.processors = processors;
    this.checkMs = checkMs;
  }

  start() {
    const { host, port } = this.bench.redis;
    const args = ["worker", host, port, ...(this.processors ? [this.processors, this.checkMs] : [])];
    return start(process.execPath, [this.bench.path(SCRIPT), ...args.map(String)]);
  }
}

export class NodeResqueScheduler extends ResqueQueue {
  constructor(bench) {
    super(bench, "node-resque Scheduler");
  }

  start() {
    const { host, port } = this.bench.redis;
    return start(process.execPath, [this.bench.path(SCRIPT), "scheduler", host, String(port)]);
  }
}
