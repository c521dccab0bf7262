// Processes that a measurement starts: each in a group of its own, and none is left behind.

import { spawn } from "node:child_process";
import { accessSync, constants, readFileSync, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";

const TICKS_PER_SECOND = 100; // USER_HZ, the unit of /proc on every Linux
const PAGE = 4096;
const GRACE_MS = 10_000;

const running = new Set();

// A measurement that says nothing: why, instead of a number.
export class Invalid extends Error {}

export function start(command, args, { stdin = "ignore", stdout = "ignore", stderr = "inherit", ...options } = {}) {
  const child = spawn(command, args, { detached: true, stdio: [stdin, stdout, stderr], ...options });
  const worker = new Process(command, child);
  running.add(worker);
  worker.ended.then(() => running.delete(worker));
  return worker;
}

export class Process {
  constructor(command, child) {
    this.command = command;
    this.child = child;
    this.over = false;
    this.ended = new Promise((done) => {
      child.once("error", (error) => done(`${command}: ${error.message}`));
      child.once("exit", (code, signal) => done(`${command} ended with ${signal ?? code}`));
    }).then((how) => {
      this.over = true;
      return how;
    });
  }

  get pid() {
    return this.child.pid;
  }

  // Ends it as its operators would, and what then is left of its group by force.
  async stop(signal = "SIGTERM") {
    if (!this.over) send(this.pid, signal);
    const patience = setTimeout(() => this.kill(), GRACE_MS);
    await this.ended;
    clearTimeout(patience);
    this.kill();
  }

  kill() {
    if (this.pid) send(-this.pid, "SIGKILL");
  }

  cost() {
    return cost(this.pid);
  }
}

function send(pid, signal) {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

export async function stopAll() {
  await Promise.all([...running].reverse().map((worker) => worker.stop()));
}

// For the last moment, when nothing can be waited for.
export function killAll() {
  for (const worker of running) worker.kill();
}

// Is there such a program in PATH?
export function installed(program) {
  return (process.env.PATH ?? "").split(delimiter).some((dir) => {
    try {
      accessSync(join(dir, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

// CPU seconds (with those of children that ended), resident megabytes, open descriptors and threads of a process and its
// descendants.
export function cost(pid) {
  const sum = { cpu: 0, rss: 0, processes: 0, threads: 0, descriptors: 0 };
  for (const member of tree(pid)) {
    let stat, descriptors;
    try {
      stat = readFileSync(`/proc/${member}/stat`, "utf8");
      descriptors = readdirSync(`/proc/${member}/fd`).length;
    } catch {
      continue; // it ended while the tree was walked
    }
    const fields = stat.slice(stat.lastIndexOf(") ") + 2).split(" ");
    sum.cpu += fields.slice(11, 15).reduce((ticks, field) => ticks + Number(field), 0) / TICKS_PER_SECOND;
    sum.rss += (Number(fields[21]) * PAGE) / 1024 / 1024;
    sum.processes += 1;
    sum.threads += Number(fields[17]);
    sum.descriptors += descriptors;
  }
  return sum;
}

function tree(pid) {
  const members = [pid];
  for (let at = 0; at < members.length; at++) {
    try {
      for (const thread of readdirSync(`/proc/${members[at]}/task`)) {
        const children = readFileSync(`/proc/${members[at]}/task/${thread}/children`, "utf8");
        members.push(...children.split(" ").filter(Boolean).map(Number));
      }
    } catch {
      // it ended while the tree was walked
    }
  }
  return members;
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// Asks again until the answer is yes, or the worker is over, or time is up.
export async function until(what, holds, { worker, seconds = 60, everyMs = 10 } = {}) {
  const end = performance.now() + seconds * 1000;
  while (!(await holds())) {
    if (worker?.over) throw new Invalid(`${await worker.ended} before ${what}`);
    if (performance.now() > end) throw new Invalid(`no ${what} within ${seconds} s`);
    await sleep(everyMs);
  }
}
