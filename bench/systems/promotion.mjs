// Delayed jobs that are due, in the layout that Windlass and node-resque share: filled at once, promoted by a scheduler.
// To promote all of them is to drain the delayed jobs, so that the same measurement serves.

import { SlowCalls } from "../lib/slow_calls.mjs";

export class Promotion {
  constructor(bench, name, scheduler, jobs, seconds) {
    Object.assign(this, { bench, name, scheduler, jobs, seconds, slow: new SlowCalls(bench.redis.client) });
  }

  async preload(jobs) {
    const { client } = this.bench.redis;
    const first = Math.floor(Date.now() / 1000) - 60 - this.seconds;
    const perSecond = jobs / this.seconds;
    for (let second = 0; second < this.seconds; second++) {
      const at = first + second;
      const payloads = Array.from({ length: perSecond }, (_, n) =>
        JSON.stringify({ class: "noop", queue: "bench", args: [second * perSecond + n] }),
      );
      for (let from = 0; from < payloads.length; from += 1000) {
        const some = payloads.slice(from, from + 1000);
        const pipeline = client.pipeline().rpush(`resque:delayed:${at}`, ...some);
        for (const payload of some) pipeline.sadd(`resque:timestamps:${payload}`, `delayed:${at}`);
        pipeline.zadd("resque:delayed_queue_schedule", at, at);
        await pipeline.exec();
      }
    }
    await this.slow.reset();
  }

  start() {
    return this.scheduler.start();
  }

  async left() {
    return this.jobs - (await this.promoted());
  }

  async counts() {
    return { processed: await this.promoted(), failed: 0 };
  }

  promoted() {
    return this.bench.redis.client.llen("resque:queue:bench");
  }

  // Milliseconds of the longest call since the queue was filled: so long nobody else was served.
  async longest() {
    return (await this.slow.longest()).ms;
  }
}
