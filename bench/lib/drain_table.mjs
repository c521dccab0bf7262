// Several systems drain in turns; a table with ratios to one or more of them.

import { drain } from "./drain.mjs";
import { interleave, pick } from "./interleave.mjs";
import { median, ratios } from "./statistics.mjs";
import { number, range, table } from "./table.mjs";

// `listed` are [system, jobs]; `bases` are [heading, index of a contender that is always there].
export async function drainTable(bench, listed, bases) {
  const contenders = bench.present(listed, ([system]) => system);
  const jobs = new Map(contenders);
  const systems = [...jobs.keys()].map((system) => bench.keep(system));
  const results = await interleave(bench, systems, (system) => drain(bench, system, jobs.get(system)));
  const rates = results.map((values) => pick(values, "rate"));
  const heads = ["system", "jobs", "jobs/s", ...bases.map(([heading]) => heading)];
  heads.push("worker CPU µs/job", "Redis CPU µs/job", "is a running job on record?");
  const rows = systems.map((system, index) => [
    system.name,
    number(jobs.get(system)),
    range(rates[index]),
    ...bases.map(([, base]) => range(ratios(rates[index], rates[base]))),
    number(median(pick(results[index], "workerCpu"))),
    number(median(pick(results[index], "redisCpu"))),
    system.safety ?? "",
  ]);
  return table(heads, rows);
}
