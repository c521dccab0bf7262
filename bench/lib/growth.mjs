// Does something grow? Samples of several quantities; the first and the last of them, after a warm-up, are compared.

import { median } from "./statistics.mjs";
import { number, table } from "./table.mjs";

const AT_ONCE = 3;

export class Growth {
  // `tolerances` has for each quantity how much more the end may have than the beginning: a share of it, and an amount.
  constructor(tolerances) {
    this.tolerances = tolerances;
    this.samples = [];
  }

  add(sample) {
    this.samples.push(sample);
  }

  // First and last are medians of three samples, so that a single spike is neither.
  judge(warmUp) {
    const samples = this.samples.slice(warmUp);
    if (samples.length < 2 * AT_ONCE) throw new Error(`${samples.length} samples after the warm-up are too few`);
    return Object.entries(this.tolerances).map(([name, [share, amount]]) => {
      const values = samples.map((sample) => sample[name]);
      const first = median(values.slice(0, AT_ONCE));
      const last = median(values.slice(-AT_ONCE));
      const most = first * (1 + share) + amount;
      return { name, first, last, largest: Math.max(...values), most, grew: last > most };
    });
  }

  static show(verdicts) {
    const heads = ["", "first", "last", "largest", "allowed at the end", ""];
    const rows = verdicts.map(({ name, first, last, largest, most, grew }) => [
      name,
      ...[first, last, largest, most].map(number),
      grew ? "GREW" : "fine",
    ]);
    return table(heads, rows);
  }
}
