// RQ: one worker, which forks for each job.

import { execFileSync } from "node:child_process";

import { start } from "../lib/processes.mjs";

export class Rq {
  constructor(bench) {
    this.bench = bench;
    this.name = "RQ, fork per job";
    this.safety = "recorded after the pop (window); noticed by a lapsed heartbeat, then failed";
    this.dir = bench.path("peers/python");
  }

  async preload(jobs) {
    const args = [this.bench.path("peers/python/enqueue.py"), this.bench.redis.url, String(jobs)];
    execFileSync(this.bench.python, args, { cwd: this.dir, stdio: ["ignore", "inherit", "inherit"] });
  }

  start() {
    const args = ["-m", "rq.cli", "worker", "--url", this.bench.redis.url, "--path", this.dir, "--logging_level", "WARNING", "bench"];
    return start(this.bench.python, args, { cwd: this.dir, env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" } });
  }

  left() {
    return this.bench.redis.client.llen("rq:queue:bench");
  }

  async counts() {
    const { client } = this.bench.redis;
    return { processed: await client.zcard("rq:finished:bench"), failed: await client.zcard("rq:failed:bench") };
  }
}
