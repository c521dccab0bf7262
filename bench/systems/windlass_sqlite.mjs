// Windlass on its embedded store: filled by `enqueue --bulk`, watched by a reader of the file.

import { createInterface } from "node:readline";
import { join } from "node:path";
import { rmSync } from "node:fs";

import { start } from "../lib/processes.mjs";
import { Windlass } from "./windlass.mjs";

export class WindlassOnSqlite extends Windlass {
  constructor(bench, name, { processors, binary }) {
    super(bench, name, { processors, binary, store: "sqlite:../bench.db" });
    this.file = join(this.dir, "bench.db");
  }

  async preload(jobs) {
    await this.reader?.stop();
    for (const end of ["", "-wal", "-shm"]) rmSync(this.file + end, { force: true });
    this.command(["enqueue", "--bulk", "-"], '{"task":"noop","args":[1,{"a":"b"}]}\n'.repeat(jobs));
    this.seen = [jobs, 0, 0];
    const script = this.bench.path("lib/sqlite_progress.py");
    this.reader = start("python3", [script, this.file], { stdout: "pipe" });
    const lines = createInterface({ input: this.reader.child.stdout });
    lines.on("line", (line) => (this.seen = line.split(" ").map(Number)));
  }

  async left() {
    return this.seen[0];
  }

  async counts() {
    return { processed: this.seen[1], failed: this.seen[2] };
  }

  async close() {
    await this.reader?.stop();
  }
}
