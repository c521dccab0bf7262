// bench/helpers/http_server: answers 200 to everything.

import { createInterface } from "node:readline";

import { Invalid, start } from "../lib/processes.mjs";

export class HttpServer {
  static async start(bench) {
    const server = new HttpServer();
    server.process = start(bench.program("http-server"), [], { stdin: "pipe", stdout: "pipe" });
    const lines = createInterface({ input: server.process.child.stdout });
    const port = new Promise((done) => lines.once("line", done));
    server.port = Number(await Promise.race([port, server.process.ended]));
    if (!server.port) throw new Invalid("the local HTTP server did not start");
    return server;
  }

  async close() {
    await this.process.stop();
  }
}
