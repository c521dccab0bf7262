import { readFileSync } from "node:fs";

import { drainTable } from "../lib/drain_table.mjs";
import { LoggedWindlass, Windlass } from "../systems/windlass.mjs";

export const title = "Drain of no-op jobs, each logged at info as JSON to a file";
export const about = "what the log costs: the same drain with a line per job, on Redis";

export async function run(bench) {
  const jobs = bench.jobs(400_000, 100_000);
  const logged = new LoggedWindlass(bench, "Windlass, 50 processors, logged", 50);
  const text = await drainTable(
    bench,
    [
      [new Windlass(bench, "Windlass, 50 processors, level warn", { processors: 50 }), jobs],
      [logged, jobs],
    ],
    [["of the one at warn", 0]],
  );
  const log = readFileSync(logged.log, "utf8");
  const written = log.split('"class":"noop"').length - 1;
  const dropped = [...log.matchAll(/(\d+) log lines were dropped/g)].reduce((sum, match) => sum + Number(match[1]), 0);
  return `${text}\n\nIn the last round ${written} of ${jobs} jobs were logged, and ${dropped} lines were counted as dropped.`;
}
