// Two instances of Windlass that work on a bit of everything, and a steady stream of it.

import { chmodSync, copyFileSync, openSync } from "node:fs";
import { join } from "node:path";

import { Tally } from "../lib/tally.mjs";
import { Windlass } from "./windlass.mjs";

const LOG = '[log]\nlevel = "info"\nformat = "json"\n';
const SETTINGS = 'queues = ["quick", "slow"]\nmin_task_processors = 2\nmax_task_processors = 10\n';

// Per kind: how many a second, how each ends, and its task.
export function kinds(httpPort) {
  return [
    { name: "noop", perSecond: 200, success: 1, run: 'builtin = "noop"' },
    { name: "exec", perSecond: 10, success: 1, run: 'exec = ["cat"]' },
    { name: "rpc", perSecond: 60, success: 1, run: 'rpc = ["../worker.py"]\nprocesses = 2\ndepth = 4\nmax_jobs = 1000' },
    { name: "http", perSecond: 30, success: 1, run: `http = "http://127.0.0.1:${httpPort}/"` },
    { name: "later", perSecond: 20, success: 1, delay: 15, run: 'builtin = "noop"' },
    { name: "failing", perSecond: 2, failure: 1, run: 'exec = ["false"]' },
    {
      name: "retried",
      perSecond: 1,
      failure: 1, // only the last attempt is told as one
      more: 'plugins = ["Retry"]\n[plugin_options.Retry]\nretry_limit = 3\nretry_delay = 1000',
      run: 'exec = ["false"]',
    },
    { name: "overdue", perSecond: 0.5, failure: 1, queue: "slow", more: 'timeout = "300ms"', run: 'exec = ["sleep", "60"]' },
    { name: "locked", perSecond: 5, success: 1, more: 'plugins = ["JobLock"]', run: 'builtin = "noop"' },
    { name: "periodic", perSecond: 0, more: 'frequency = "1s"', run: 'exec = ["true"]' },
  ];
}

export class MixedLoad {
  constructor(bench, httpPort) {
    this.bench = bench;
    this.kinds = kinds(httpPort);
    this.pushed = new Map(this.kinds.map(({ name }) => [name, 0]));
    const tasks = this.kinds.map(({ queue = "quick", ...task }) => ({ queue, ...task }));
    this.instances = [1, 2].map((n) => {
      const instance = new Windlass(bench, `instance ${n}`, { settings: SETTINGS, log: LOG, tasks });
      copyFileSync(bench.path("peers/python/rpc_worker.py"), join(instance.dir, "worker.py"));
      chmodSync(join(instance.dir, "worker.py"), 0o755);
      instance.tally = new Tally(join(instance.dir, "log.json"));
      return instance;
    });
  }

  start() {
    for (const instance of this.instances) {
      instance.process = instance.start({ stderr: openSync(instance.tally.file, "w") });
    }
    this.begun = performance.now();
  }

  // Pushes what is due by now, as any client of Resque would.
  async push() {
    const seconds = (performance.now() - this.begun) / 1000;
    const pipeline = this.bench.redis.client.pipeline();
    for (const { name, perSecond, delay, queue = "quick" } of this.kinds) {
      const [from, to] = [this.pushed.get(name), Math.floor(seconds * perSecond)];
      for (let n = from; n < to; n++) {
        const job = JSON.stringify({ class: name, queue, args: [{ number: n }] });
        if (!delay) {
          pipeline.rpush(`resque:queue:${queue}`, job);
          continue;
        }
        const at = Math.floor(Date.now() / 1000) + 1 + (n % delay);
        pipeline.rpush(`resque:delayed:${at}`, job).sadd(`resque:timestamps:${job}`, `delayed:${at}`);
        pipeline.zadd("resque:delayed_queue_schedule", at, at);
      }
      this.pushed.set(name, to);
    }
    pipeline.sadd("resque:queues", "quick", "slow");
    for (const [error] of await pipeline.exec()) if (error) throw error;
  }

  // How the two process trees together are.
  cost() {
    const sum = {};
    for (const { process } of this.instances) {
      for (const [name, value] of Object.entries(process.cost())) sum[name] = (sum[name] ?? 0) + value;
    }
    return sum;
  }

  // What does not add up, by the log: of each kind as many ends as it should have. Empty: all is done.
  amiss() {
    const tallies = this.instances.map(({ tally }) => tally.read());
    const sum = (ending, name) => tallies.reduce((all, tally) => all + (tally[ending].get(name) ?? 0), 0);
    const problems = [];
    for (const { name, perSecond, success = 0, failure = 0 } of this.kinds) {
      if (perSecond === 0) {
        if (sum("failure", name) > 0) problems.push(`${name}: ${sum("failure", name)} failed`);
        continue;
      }
      for (const [ending, times] of [["success", success], ["failure", failure]]) {
        const [wanted, told] = [this.pushed.get(name) * times, sum(ending, name)];
        if (wanted !== told) problems.push(`${name}: ${told} instead of ${wanted} times ${ending}`);
      }
    }
    const dropped = tallies.reduce((all, tally) => all + tally.dropped, 0);
    if (dropped > 0) problems.push(`${dropped} log lines were dropped, so that nothing is sure`);
    return problems;
  }
}
