// How often each class has succeeded and failed, read from a JSON log as it grows.

import { closeSync, openSync, readSync } from "node:fs";

const CHUNK = 1 << 20;

export class Tally {
  constructor(file) {
    this.file = file;
    this.offset = 0;
    this.rest = "";
    this.success = new Map();
    this.failure = new Map();
    this.dropped = 0;
  }

  // Reads what has been written since the last time.
  read() {
    const descriptor = openSync(this.file, "r");
    const buffer = Buffer.alloc(CHUNK);
    try {
      for (let count; (count = readSync(descriptor, buffer, 0, CHUNK, this.offset)) > 0; this.offset += count) {
        // Classes are ASCII, so that a character cut in two does no harm.
        const lines = (this.rest + buffer.toString("latin1", 0, count)).split("\n");
        this.rest = lines.pop();
        for (const line of lines) this.take(line);
      }
    } finally {
      closeSync(descriptor);
    }
    return this;
  }

  take(line) {
    const dropped = line.match(/(\d+) log lines were dropped/);
    if (dropped) this.dropped += Number(dropped[1]);
    const outcome = line.match(/\[ worker \] job (success|failure) .*"class":"([^"]*)"/);
    if (!outcome) return;
    const counts = this[outcome[1]];
    counts.set(outcome[2], (counts.get(outcome[2]) ?? 0) + 1);
  }
}
