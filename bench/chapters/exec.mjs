import { drain } from "../lib/drain.mjs";
import { interleave, pick } from "../lib/interleave.mjs";
import { ratios } from "../lib/statistics.mjs";
import { number, range, table } from "../lib/table.mjs";
import { NodeResque } from "../systems/node_resque.mjs";
import { SpawnLoop } from "../systems/spawn_loop.mjs";
import { Windlass } from "../systems/windlass.mjs";

export const title = "A process for each job: /bin/true";
export const about = "exec of /bin/true: Windlass, node-resque with execFile, a bare posix_spawn loop";

export async function run(bench) {
  const [jobs, few] = [bench.jobs(15_000, 3_000), bench.jobs(3_000, 800)];
  const windlass = (processors) =>
    new Windlass(bench, `Windlass exec, ${processors} processors`, { processors, task: "true", run: 'exec = ["/bin/true"]' });
  const counts = new Map([
    [new SpawnLoop(bench), jobs],
    [new NodeResque(bench, "node-resque + execFile, 16", { processors: 16, task: "true" }), few],
    [windlass(4), jobs],
    [windlass(16), jobs],
  ]);
  const systems = [...counts.keys()];
  const results = await interleave(bench, systems, async (system) =>
    system.rate ? { rate: await system.rate(counts.get(system)) } : drain(bench, system, counts.get(system)),
  );
  const rates = results.map((values) => pick(values, "rate"));
  const rows = systems.map((system, index) => [
    system.name,
    number(counts.get(system)),
    range(rates[index]),
    range(ratios(rates[index], rates[0])),
    range(ratios(rates[index], rates[1])),
    system.safety,
  ]);
  const heads = ["system", "jobs", "jobs/s", "of the bare loop", "× node-resque, 16", "is a running job on record?"];
  return table(heads, rows);
}
