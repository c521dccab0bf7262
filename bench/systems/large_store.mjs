// A Redis that holds a lot, in the layout that Windlass and node-resque share.

const BATCH = 1000;

export class LargeStore {
  constructor(redis, sizes) {
    this.redis = redis;
    this.client = redis.client;
    this.sizes = sizes;
  }

  queue(n) {
    return `q${String(n).padStart(3, "0")}`;
  }

  payload(queue, n) {
    return JSON.stringify({ class: "noop", queue, args: [n, { a: "b" }] });
  }

  // In batches of this many numbers below `count`, as a pipeline.
  async batches(count, fill) {
    for (let from = 0; from < count; from += BATCH) {
      const pipeline = this.client.pipeline();
      for (let n = from; n < Math.min(count, from + BATCH); n++) fill(pipeline, n);
      for (const [error] of await pipeline.exec()) if (error) throw error;
    }
  }

  async fillQueues() {
    const { queued, queues } = this.sizes;
    for (let q = 0; q < queues; q++) {
      const queue = this.queue(q);
      await this.client.sadd("resque:queues", queue);
      const count = Math.floor(queued / queues) + (q < queued % queues ? 1 : 0);
      await this.redis.push(`resque:queue:${queue}`, count, (n) => this.payload(queue, n));
    }
  }

  // Queues that hold nothing, as somebody makes who puts a user's id into their names.
  async fillNames() {
    await this.batches(this.sizes.names, (pipeline, n) => pipeline.sadd("resque:queues", this.name(n)));
  }

  async forgetNames() {
    await this.batches(this.sizes.names, (pipeline, n) => pipeline.srem("resque:queues", this.name(n)));
  }

  name(n) {
    return `name-${String(n).padStart(6, "0")}`;
  }

  // `count` jobs that are due at `seconds` seconds from `first` on, the same number at each.
  async fillDelayed(first, seconds) {
    await this.batches(this.sizes.delayed, (pipeline, n) => {
      const at = first + (n % seconds);
      const job = JSON.stringify({ class: "noop", queue: "promoted", args: [n, { a: "b" }] });
      pipeline.rpush(`resque:delayed:${at}`, job).sadd(`resque:timestamps:${job}`, `delayed:${at}`);
      if (n < seconds) pipeline.zadd("resque:delayed_queue_schedule", at, at);
    });
  }

  async fillFailed() {
    const backtrace = Array.from({ length: 8 }, (_, line) => `at perform (/srv/app/jobs/noop.js:${line + 1}:13)`);
    await this.batches(this.sizes.failed, (pipeline, n) => {
      const record = {
        worker: `other-${n % 100}:${n % 1000}+1`,
        queue: this.queue(n % this.sizes.queues),
        payload: { class: "noop", queue: this.queue(n % this.sizes.queues), args: [n, { a: "b" }] },
        exception: "Error",
        error: `the server said no to request ${n}`,
        backtrace,
        failed_at: new Date(Date.now() - n).toString(),
      };
      pipeline.rpush("resque:failed", JSON.stringify(record));
    });
  }

  // Workers of node-resque on other machines, alive by their pings; every tenth works on a job.
  async fillWorkers() {
    const started = String(Date.now());
    await this.batches(this.sizes.workers, (pipeline, n) => {
      const name = `other-${Math.floor(n / 10)}:1${n % 10}+1`;
      const queue = this.queue(n % this.sizes.queues);
      const id = `${name}:${queue}`;
      const ping = { name, time: Math.floor(Date.now() / 1000), queues: queue };
      pipeline.sadd("resque:workers", id).set(`resque:worker:${id}:started`, started);
      pipeline.set(`resque:worker:ping:${name}`, JSON.stringify(ping));
      if (n % 10 !== 0) return;
      const payload = { class: "noop", queue, args: [n, { a: "b" }] };
      pipeline.set(`resque:worker:${id}`, JSON.stringify({ run_at: new Date().toString(), queue, payload, worker: name }));
    });
  }

  // All delayed jobs away again, a bit at a time.
  async clearDelayed() {
    for (const pattern of ["resque:delayed:*", "resque:timestamps:*"]) {
      let cursor = "0";
      do {
        const [next, keys] = await this.client.scan(cursor, "MATCH", pattern, "COUNT", 10_000);
        cursor = next;
        if (keys.length > 0) await this.client.unlink(...keys);
      } while (cursor !== "0");
    }
    await this.client.unlink("resque:delayed_queue_schedule");
  }

  // The queues empty, though still known.
  async emptyQueues() {
    await this.client.unlink("resque:queue:promoted");
    for (let q = 0; q < this.sizes.queues; q++) await this.client.unlink(`resque:queue:${this.queue(q)}`);
  }
}
