import { drainTable } from "../lib/drain_table.mjs";
import { HttpServer } from "../systems/http_server.mjs";
import { Windlass } from "../systems/windlass.mjs";

export const title = "An HTTP request for each job";
export const about = "http: 50 in flight to a local server that answers at once";

export async function run(bench) {
  const server = bench.keep(await HttpServer.start(bench));
  const windlass = (processors) =>
    new Windlass(bench, `Windlass http, ${processors} processors, 50 connections`, {
      processors,
      task: "post",
      run: `http = "http://127.0.0.1:${server.port}/"\nconnections = 50`,
    });
  const noop = new Windlass(bench, "Windlass noop, 50 processors", { processors: 50 });
  return drainTable(
    bench,
    [
      [noop, bench.jobs(300_000, 100_000)],
      [windlass(50), bench.jobs(100_000, 20_000)],
      [windlass(100), bench.jobs(100_000, 20_000)],
    ],
    [["of noop", 0]],
  );
}
