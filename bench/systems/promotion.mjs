// Delayed jobs that are due, in the layout that Windlass and node-resque share: filled at once, promoted by a scheduler.
// To promote all of them is to drain the delayed jobs, so that the same measurement serves.

export class Promotion {
  constructor(bench, name, scheduler, jobs, seconds) {
    Object.assign(this, { bench, name, scheduler, jobs, seconds });
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
    await client.config("SET", "slowlog-log-slower-than", 100);
    await client.config("SET", "slowlog-max-len", 100_000);
    await client.slowlog("RESET");
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
    const { client } = this.bench.redis;
    const calls = await client.slowlog("GET", -1);
    await client.config("SET", "slowlog-log-slower-than", 10_000);
    const foreign = new Set(["flushall", "slowlog", "config", "info"]);
    const times = calls.filter(([, , , [command]]) => !foreign.has(command.toLowerCase())).map(([, , us]) => us);
    return Math.max(0, ...times) / 1000;
  }
}
