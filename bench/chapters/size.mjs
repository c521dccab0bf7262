import { execFileSync } from "node:child_process";
import { statSync } from "node:fs";

import { table } from "../lib/table.mjs";

export const title = "Size";
export const about = "the release binary, and what it is linked with";

export async function run(bench) {
  const { size } = statSync(bench.windlass);
  const linked = execFileSync("ldd", [bench.windlass], { encoding: "utf8" }).trim().split("\n");
  const names = linked.map((line) => line.trim().split(" ")[0].split("/").pop());
  return table(["binary", "MB", "linked with"], [["windlass (release, stripped)", (size / 1e6).toFixed(1), names.join(", ")]]);
}
