// The queue that Windlass, node-resque and the ceiling share: the same bytes for each.

const QUEUE = "resque:queue:bench";

export class ResqueQueue {
  constructor(bench, name, task = "noop") {
    this.bench = bench;
    this.name = name;
    this.task = task;
    this.registers = true; // each processor, in resque:workers
  }

  payload(args) {
    return JSON.stringify({ class: this.task, queue: "bench", args });
  }

  async preload(jobs) {
    const payload = this.payload([1, { a: "b" }]);
    await this.bench.redis.client.sadd("resque:queues", "bench");
    await this.bench.redis.push(QUEUE, jobs, () => payload);
  }

  // One job, by one plain RPUSH, as any client would do it.
  async enqueue(args) {
    await this.bench.redis.client.rpush(QUEUE, this.payload(args));
  }

  async prepare() {
    await this.bench.redis.client.sadd("resque:queues", "bench");
  }

  left() {
    return this.bench.redis.client.llen(QUEUE);
  }

  async counts() {
    const { redis } = this.bench;
    return { processed: await redis.number("resque:stat:processed"), failed: await redis.number("resque:stat:failed") };
  }
}
