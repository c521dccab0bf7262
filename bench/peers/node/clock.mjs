// The first act of a stamp job: reads CLOCK_MONOTONIC and tells the one who waits for it.

import { createSocket } from "node:dgram";

let socket;

export function stamp(port, number) {
  const now = process.hrtime.bigint();
  socket ??= createSocket("udp4");
  socket.send(`${number} ${now}`, port, "127.0.0.1");
}
