// Numbers and Markdown tables.

import { spread } from "./statistics.mjs";

export function table(heads, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(heads), line(heads.map((_, column) => (column === 0 ? "---" : "---:"))), ...rows.map(line)].join("\n");
}

export function number(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size >= 1000 || Number.isInteger(value)) return Math.round(value).toLocaleString("en-US");
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  if (size >= 0.01) return value.toFixed(2);
  return value.toPrecision(2);
}

// Median [smallest–largest].
export function range(values) {
  const all = spread(values);
  if (all === null) return "invalid";
  return values.length === 1 ? number(all.median) : `${number(all.median)} [${number(all.min)}–${number(all.max)}]`;
}
