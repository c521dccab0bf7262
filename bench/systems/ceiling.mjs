// bench/ceiling: the fixed denominator.

import { start } from "../lib/processes.mjs";
import { ResqueQueue } from "./resque_queue.mjs";

export class Ceiling extends ResqueQueue {
  constructor(bench, fleet) {
    super(bench, `ceiling (bench/ceiling), fleet of ${fleet}`);
    this.fleet = fleet;
    this.safety = "on record from the pop on; nobody would notice";
  }

  start() {
    const { host, port } = this.bench.redis;
    return start(this.bench.program("ceiling"), [host, String(port), "resque", String(this.fleet)]);
  }
}
