import { drainTable } from "../lib/drain_table.mjs";
import { WindlassOnSqlite } from "../systems/windlass_sqlite.mjs";

export const title = "Drain of no-op jobs on SQLite";
export const about = "the same on the embedded store";

export function run(bench) {
  const jobs = bench.jobs(120_000, 40_000);
  const contenders = [10, 50, 100].map((processors) => [
    new WindlassOnSqlite(bench, `Windlass on SQLite, ${processors} processors`, { processors }),
    jobs,
  ]);
  return drainTable(bench, contenders, [["× 10 processors", 0]]);
}
