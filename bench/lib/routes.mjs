// Every route of the API that reads, as the server itself tells them, and what each costs.

import { number, table } from "./table.mjs";

const TIMES = 3;
// A stream has no end, and an export is as long as the list.
const LEFT_OUT = new Set(["/api/v1/events", "/api/v1/failed.ndjson"]);

// The paths of all routes that read, with `names` in place of what stands in braces and behind `?`.
export async function routes(base, names) {
  const { paths } = await (await fetch(`${base}/openapi.json`)).json();
  const reads = Object.entries(paths).filter(([path, ways]) => ways.get && !LEFT_OUT.has(path));
  const filled = reads.map(([path]) => path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(names[name] ?? "none")));
  const asked = filled.flatMap((path) => (names.queries[path] ?? [""]).map((query) => path + query));
  return [...new Set(asked)];
}

// Asks each a few times, and shows the slowest answer. `slow` and `redis` are left out for a file.
export async function measure(base, paths, { slow, redis, tell }) {
  const rows = [];
  for (const path of paths) {
    await slow?.reset();
    const before = await redis?.commands();
    const [times, bytes, statuses] = [[], [], new Set()];
    for (let n = 0; n < TIMES; n++) {
      const begun = performance.now();
      const answer = await fetch(base + path);
      bytes.push((await answer.arrayBuffer()).byteLength);
      times.push(performance.now() - begun);
      statuses.add(answer.status);
    }
    const calls = redis && ((await redis.commands()) - before) / TIMES;
    const longest = await slow?.longest();
    const row = [`GET ${path}`, [...statuses].join(", "), number(Math.max(...times)), number(Math.max(...bytes) / 1000)];
    if (redis) row.push(number(calls), number(longest.ms), longest.what);
    tell(`  ${row.join("; ")}`);
    rows.push(row);
  }
  const heads = ["", "status", "ms at most", "kB"];
  if (redis) heads.push("commands", "longest call, ms", "which");
  return table(heads, rows);
}
