import { chmodSync, copyFileSync } from "node:fs";
import { join } from "node:path";

import { drain } from "../lib/drain.mjs";
import { interleave, pick } from "../lib/interleave.mjs";
import { ratios } from "../lib/statistics.mjs";
import { number, range, table } from "../lib/table.mjs";
import { PipeLoop } from "../systems/pipe_loop.mjs";
import { Windlass } from "../systems/windlass.mjs";

export const title = "JSON-RPC to a long-lived child";
export const about = "rpc: one Python child with 16 requests in flight, and a bare loop over its pipes";

const DEPTH = 16;

export async function run(bench) {
  const windlass = (processors) => {
    const system = new Windlass(bench, `Windlass rpc, 1 Python child, depth ${DEPTH}, ${processors} processors`, {
      processors,
      task: "echo",
      run: `rpc = ["../worker.py"]\nprocesses = 1\ndepth = ${DEPTH}`,
    });
    const worker = join(system.dir, "worker.py");
    copyFileSync(bench.path("peers/python/rpc_worker.py"), worker);
    chmodSync(worker, 0o755);
    return system;
  };
  const jobs = bench.jobs(200_000, 30_000);
  const [few, many] = [windlass(32), windlass(100)];
  const systems = [new PipeLoop(bench, join(many.dir, "worker.py"), DEPTH), few, many];
  const results = await interleave(bench, systems, async (system) =>
    system.rate ? { rate: await system.rate(jobs) } : drain(bench, system, jobs),
  );
  const rates = results.map((values) => pick(values, "rate"));
  const rows = systems.map((system, index) => [
    system.name,
    number(jobs),
    range(rates[index]),
    range(ratios(rates[index], rates[0])),
    system.safety,
  ]);
  return table(["system", "jobs", "jobs/s", "of the bare loop", "is a running job on record?"], rows);
}
