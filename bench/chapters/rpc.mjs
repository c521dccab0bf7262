import { chmodSync, copyFileSync } from "node:fs";
import { join } from "node:path";

import { drainTable } from "../lib/drain_table.mjs";
import { Windlass } from "../systems/windlass.mjs";

export const title = "JSON-RPC to a long-lived child";
export const about = "rpc: one Python child with 16 requests in flight";

export function run(bench) {
  const system = new Windlass(bench, "Windlass rpc, 1 Python child, depth 16", {
    processors: 32,
    task: "echo",
    run: 'rpc = ["../worker.py"]\nprocesses = 1\ndepth = 16',
  });
  copyFileSync(bench.path("peers/python/rpc_worker.py"), join(system.dir, "worker.py"));
  chmodSync(join(system.dir, "worker.py"), 0o755);
  const noop = new Windlass(bench, "Windlass noop, 32 processors", { processors: 32 });
  return drainTable(
    bench,
    [
      [noop, bench.jobs(300_000, 100_000)],
      [system, bench.jobs(200_000, 30_000)],
    ],
    [["of noop", 0]],
  );
}
