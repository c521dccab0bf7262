// bench/helpers/pipe_loop: the most that one child does, without any queue.

import { execFile } from "node:child_process";
import { promisify } from "node:util";

export class PipeLoop {
  constructor(bench, child, depth) {
    Object.assign(this, { bench, child, depth });
    this.name = `bare loop over the child's pipes, depth ${depth}`;
    this.safety = "no queue at all";
  }

  async rate(jobs) {
    const args = [this.child, this.depth, jobs].map(String);
    const { stdout } = await promisify(execFile)(this.bench.program("pipe-loop"), args);
    return Number(stdout);
  }
}
