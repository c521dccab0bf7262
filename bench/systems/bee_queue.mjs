// bee-queue: one queue with a processor.

import { createRequire } from "node:module";

import { start } from "../lib/processes.mjs";

export class BeeQueue {
  constructor(bench, concurrency) {
    this.bench = bench;
    this.concurrency = concurrency;
    this.name = `bee-queue, ${concurrency}`;
    this.safety = "on record from the pop on; back on its queue when a processor starts or checkStalledJobs is called";
  }

  async preload(jobs) {
    const Queue = createRequire(this.bench.path("peers/node/package.json"))("bee-queue");
    const { host, port } = this.bench.redis;
    const queue = new Queue("bench", { redis: { host, port }, isWorker: false, getEvents: false, storeJobs: false });
    for (let left = jobs; left > 0; left -= 1000) {
      const some = Array.from({ length: Math.min(left, 1000) }, () => queue.createJob({ args: [1, { a: "b" }] }));
      const errors = await queue.saveAll(some);
      for (const error of errors.values()) throw error;
    }
    await queue.close();
  }

  start() {
    const { host, port } = this.bench.redis;
    const args = [host, port, this.concurrency].map(String);
    return start(process.execPath, [this.bench.path("peers/node/bee_queue.mjs"), ...args]);
  }

  left() {
    return this.bench.redis.client.llen("bq:bench:waiting");
  }

  async counts() {
    const { client } = this.bench.redis;
    return { processed: await client.scard("bq:bench:succeeded"), failed: await client.scard("bq:bench:failed") };
  }
}
