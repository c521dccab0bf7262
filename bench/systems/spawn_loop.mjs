// bench/helpers/spawn_loop: the least that a process per job costs, without any queue.

import { execFile } from "node:child_process";
import { promisify } from "node:util";

export class SpawnLoop {
  constructor(bench) {
    this.bench = bench;
    this.name = "bare posix_spawn loop, two threads";
    this.safety = "no queue at all";
  }

  async rate(children) {
    const { stdout } = await promisify(execFile)(this.bench.program("spawn-loop"), [String(children)]);
    return Number(stdout);
  }
}
