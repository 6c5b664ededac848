/** USD as the tool writes it, a decimal number in text, with its value in units of 10^-12 so that sums are exact. */
export interface Amount {
  text: string;
  units: bigint;
}

const PLACES = 12;

export const ZERO: Amount = { text: "0", units: 0n };

/** Reads a decimal number; undefined for what is none. */
export function amount(value: unknown): Amount | undefined {
  const text = typeof value === "number" ? String(value) : value;
  if (typeof text !== "string") return undefined;
  const found = /^(-?)(\d+)(?:\.(\d{1,12})\d*)?$/.exec(text.trim());
  if (!found) return undefined;
  const units = BigInt(found[2]! + (found[3] ?? "").padEnd(PLACES, "0"));
  return { text: text.trim(), units: found[1] ? -units : units };
}

export function sum(amounts: Iterable<Amount>): Amount {
  let units = 0n;
  for (const one of amounts) units += one.units;
  return ofUnits(units);
}

export function less(all: Amount, part: Amount): Amount {
  return ofUnits(all.units - part.units);
}

/** Near enough to draw with, not to add up. */
export function drawn(of: Amount): number {
  return Number(of.units) / 1e12;
}

function ofUnits(units: bigint): Amount {
  const digits = (units < 0n ? -units : units).toString().padStart(PLACES + 1, "0");
  const fraction = digits.slice(-PLACES).replace(/0+$/, "");
  const text = digits.slice(0, -PLACES) + (fraction ? `.${fraction}` : "");
  return { text: units < 0n ? `-${text}` : text, units };
}
