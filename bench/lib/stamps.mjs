// When a job began, as the job itself says: its first act is to read CLOCK_MONOTONIC and send it here, with its number.

import { createSocket } from "node:dgram";

import { Invalid } from "./processes.mjs";

// Nanoseconds of CLOCK_MONOTONIC, which all processes share.
export const now = () => process.hrtime.bigint();

export class Stamps {
  static async open() {
    const stamps = new Stamps();
    stamps.waiting = new Map();
    stamps.next = 1;
    stamps.socket = createSocket("udp4");
    stamps.socket.on("message", (message) => {
      const [number, nanoseconds] = message.toString().split(" ");
      stamps.waiting.get(Number(number))?.(BigInt(nanoseconds));
      stamps.waiting.delete(Number(number));
    });
    await new Promise((done) => stamps.socket.bind(0, "127.0.0.1", done));
    stamps.port = stamps.socket.address().port;
    return stamps;
  }

  // The arguments for a job, and when it began.
  expect(seconds = 30) {
    const number = this.next++;
    const began = new Promise((done, fail) => {
      const patience = setTimeout(() => {
        this.waiting.delete(number);
        fail(new Invalid(`no job began within ${seconds} s`));
      }, seconds * 1000);
      this.waiting.set(number, (nanoseconds) => {
        clearTimeout(patience);
        done(nanoseconds);
      });
    });
    began.catch(() => {}); // anyone who does not wait for it has failed before
    return { args: [this.port, number], began };
  }

  // Milliseconds from just before `begin(args)` is called to the first act of the job that it brings about.
  async timed(begin) {
    const { args, began } = this.expect();
    const before = now();
    await begin(args);
    return Number((await began) - before) / 1e6;
  }

  close() {
    this.socket.close();
  }
}
