// Sidekiq, as Debian packages it.

import { installed, start } from "../lib/processes.mjs";

const QUEUE = "queue:bench";

export class Sidekiq {
  constructor(bench, name, { concurrency, task = "Noop" } = {}) {
    this.bench = bench;
    this.name = name;
    this.task = task;
    this.concurrency = concurrency;
    this.safety = "NO: kill -9 loses it";
    this.countsAtItsEnd = true; // it writes its statistics every few seconds, and when it stops
    this.number = 0;
  }

  missing() {
    return installed("sidekiq") ? null : "not installed; sudo apt-get install ruby-sidekiq";
  }

  payload(args) {
    const now = Date.now() / 1000;
    const jid = (this.number++).toString(16).padStart(24, "0");
    return JSON.stringify({ class: this.task, args, queue: "bench", retry: true, jid, created_at: now, enqueued_at: now });
  }

  async preload(jobs) {
    await this.bench.redis.client.sadd("queues", "bench");
    await this.bench.redis.push(QUEUE, jobs, () => this.payload([1, { a: "b" }]), "lpush");
  }

  async prepare() {
    await this.bench.redis.client.sadd("queues", "bench");
  }

  async enqueue(args) {
    await this.bench.redis.client.lpush(QUEUE, this.payload(args));
  }

  start() {
    const args = ["--queue", "bench", "--require", this.bench.path("peers/ruby/jobs.rb"), "--environment", "production"];
    if (this.concurrency) args.push("--concurrency", String(this.concurrency));
    return start("sidekiq", args, { env: { ...process.env, REDIS_URL: this.bench.redis.url } });
  }

  left() {
    return this.bench.redis.client.llen(QUEUE);
  }

  async counts() {
    const { redis } = this.bench;
    return { processed: await redis.number("stat:processed"), failed: await redis.number("stat:failed") };
  }
}
