// Several instances of Windlass that share one Redis.

import { ResqueQueue } from "./resque_queue.mjs";
import { SAFETY, Windlass } from "./windlass.mjs";

export class Fleet extends ResqueQueue {
  constructor(bench, instances, processors) {
    super(bench, `${instances} × ${processors} processors`);
    this.safety = SAFETY;
    this.processors = instances * processors;
    this.members = Array.from({ length: instances }, (_, n) => new Windlass(bench, `instance ${n + 1}`, { processors }));
  }

  start() {
    return new Running(this.members.map((member) => member.start()));
  }

  // How many jobs each instance has done, from the statistics of its workers.
  async shares() {
    const { client } = this.bench.redis;
    const workers = await client.keys("resque:stat:processed:*");
    const done = new Map();
    for (const key of workers) {
      const instance = key.slice(0, key.lastIndexOf("+"));
      done.set(instance, (done.get(instance) ?? 0) + Number(await client.get(key)));
    }
    return [...done.values()].sort((a, b) => b - a);
  }
}

// The instances as one worker.
class Running {
  constructor(processes) {
    this.processes = processes;
    this.ended = Promise.race(processes.map((one) => one.ended));
  }

  get over() {
    return this.processes.some((one) => one.over);
  }

  cost() {
    const all = this.processes.map((one) => one.cost());
    return { cpu: all.reduce((sum, one) => sum + one.cpu, 0), rss: all.reduce((sum, one) => sum + one.rss, 0) };
  }

  async stop() {
    await Promise.all(this.processes.map((one) => one.stop()));
  }
}
