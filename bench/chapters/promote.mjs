import { drain } from "../lib/drain.mjs";
import { interleave, pick } from "../lib/interleave.mjs";
import { ratios } from "../lib/statistics.mjs";
import { range, table } from "../lib/table.mjs";
import { NodeResqueScheduler } from "../systems/node_resque.mjs";
import { Promotion } from "../systems/promotion.mjs";
import { Windlass } from "../systems/windlass.mjs";

export const title = "Promotion of delayed jobs that are due";
export const about = "due jobs of one second and of many, and the longest call meanwhile";

const whole = (count) => count.toLocaleString("en-US");

export async function run(bench) {
  const [many, few] = [bench.jobs(200_000, 50_000), bench.jobs(10_000, 2_000)];
  const windlass = new Windlass(bench, "Windlass", { processors: 0 });
  const nodeResque = new NodeResqueScheduler(bench);
  const at = (scheduler, jobs, seconds) =>
    new Promotion(bench, `${scheduler.name}, ${whole(jobs)} due in ${whole(seconds)} s`, scheduler, jobs, seconds);
  // Ten jobs a second, as 200,000 in 20,000 seconds are.
  const systems = [at(nodeResque, few, 1), at(windlass, many, 1), at(nodeResque, few, few / 10), at(windlass, many, many / 10)];
  const results = await interleave(bench, systems, async (system) => {
    const measured = await drain(bench, system, system.jobs);
    return { ...measured, longest: await system.longest() };
  });
  const rates = results.map((values) => pick(values, "rate"));
  const rows = systems.map((system, index) => [
    system.name,
    range(rates[index]),
    range(ratios(rates[index], rates[index - (index % 2)])),
    range(pick(results[index], "longest")),
  ]);
  return table(["delayed jobs", "jobs/s", "× node-resque", "longest call, ms"], rows);
}
