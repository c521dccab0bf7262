import { drainTable } from "../lib/drain_table.mjs";
import { HttpServer } from "../systems/http_server.mjs";
import { Windlass } from "../systems/windlass.mjs";

export const title = "An HTTP request for each job";
export const about = "http: 50 in flight to a local server that answers at once";

export async function run(bench) {
  const server = bench.keep(await HttpServer.start(bench));
  const system = new Windlass(bench, "Windlass http, 50 processors", {
    processors: 50,
    task: "post",
    run: `http = "http://127.0.0.1:${server.port}/"`,
  });
  const noop = new Windlass(bench, "Windlass noop, 50 processors", { processors: 50 });
  return drainTable(
    bench,
    [
      [noop, bench.jobs(300_000, 100_000)],
      [system, bench.jobs(100_000, 20_000)],
    ],
    [["of noop", 0]],
  );
}
