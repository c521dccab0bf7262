import { execFile } from "node:child_process";
import { promisify } from "node:util";

export const title = "Instructions of the hot path's parts";
export const about = "bench/instructions: counted by valgrind, the same on a busy machine";
export const rounds = 1;

export async function run(bench) {
  try {
    const { stdout } = await promisify(execFile)(bench.path("instructions"), { cwd: bench.root });
    return stdout.trim();
  } catch (error) {
    if (error.code === 69) return `Skipped: ${error.stderr.trim().split("\n").pop()}`;
    throw error;
  }
}
