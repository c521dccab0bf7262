// The Redis of a run: a server of its own on a free port, without persistence, and a client.

import { createServer } from "node:net";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { cost, start, until } from "./processes.mjs";

const peers = join(dirname(fileURLToPath(import.meta.url)), "../peers/node/package.json");
const Client = createRequire(peers)("ioredis");

export class RedisServer {
  static async start(dir) {
    const server = new RedisServer();
    server.host = "127.0.0.1";
    server.port = await freePort();
    server.url = `redis://${server.host}:${server.port}/0`;
    const args = ["--bind", server.host, "--port", server.port, "--save", "", "--appendonly", "no", "--dir", dir];
    server.process = start("redis-server", args.map(String));
    server.client = new Client({ host: server.host, port: server.port, maxRetriesPerRequest: null });
    server.client.on("error", () => {}); // until it listens; `until` below says if it never does
    await until("answer of redis-server", () => server.client.status === "ready", { worker: server.process });
    server.version = (await server.client.info("server")).match(/redis_version:(\S+)/)[1];
    return server;
  }

  // How often each command was called since the server's start; scripts count once, and what they call counts too.
  async calls() {
    const info = await this.client.info("commandstats");
    return new Map([...info.matchAll(/cmdstat_(\S+?):calls=(\d+)/g)].map(([, name, calls]) => [name, Number(calls)]));
  }

  // How many commands were run since the server's start, those of scripts too; without what looks at it.
  async commands() {
    const ours = new Set(["info", "slowlog|get", "slowlog|reset", "config|set"]);
    return [...(await this.calls())].reduce((sum, [name, calls]) => sum + (ours.has(name) ? 0 : calls), 0);
  }

  cpu() {
    return cost(this.process.pid).cpu;
  }

  async number(key) {
    return Number((await this.client.get(key)) ?? 0);
  }

  // Pushes this many values, made by number, a thousand at a time.
  async push(list, count, value, command = "rpush") {
    for (let from = 0; from < count; from += 1000) {
      const values = Array.from({ length: Math.min(1000, count - from) }, (_, n) => value(from + n));
      await this.client[command](list, ...values);
    }
  }
}

export function freePort() {
  return new Promise((done, fail) => {
    const server = createServer();
    server.once("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}
