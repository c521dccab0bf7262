// BullMQ: one Worker.

import { createRequire } from "node:module";

import { start } from "../lib/processes.mjs";

export class BullMq {
  constructor(bench, name, { concurrency, task = "noop" } = {}) {
    this.bench = bench;
    this.name = name;
    this.task = task;
    this.concurrency = concurrency;
    this.safety = "on record from the pop on; back on its queue after 30 s";
  }

  async withQueue(use) {
    const { Queue } = createRequire(this.bench.path("peers/node/package.json"))("bullmq");
    const { host, port } = this.bench.redis;
    this.queue ??= new Queue("bench", { connection: { host, port } });
    return use(this.queue);
  }

  async preload(jobs) {
    await this.withQueue(async (queue) => {
      const job = { name: this.task, data: { args: [1, { a: "b" }] } };
      for (let left = jobs; left > 0; left -= 1000) await queue.addBulk(Array(Math.min(left, 1000)).fill(job));
    });
  }

  async prepare() {
    await this.withQueue((queue) => queue.waitUntilReady());
  }

  async enqueue(args) {
    await this.withQueue((queue) => queue.add(this.task, { args }));
  }

  start() {
    const { host, port } = this.bench.redis;
    const args = [host, port, ...(this.concurrency ? [this.concurrency] : [])];
    return start(process.execPath, [this.bench.path("peers/node/bullmq.mjs"), ...args.map(String)]);
  }

  left() {
    return this.bench.redis.client.llen("bull:bench:wait");
  }

  async counts() {
    const { client } = this.bench.redis;
    return { processed: await client.zcard("bull:bench:completed"), failed: await client.zcard("bull:bench:failed") };
  }

  async close() {
    await this.queue?.close();
  }
}
