import { type Amount, drawn, less, sum } from "./amount.ts";
import { h, wide } from "./dom.ts";
import { type Report, TIMES } from "./report.ts";
import { SERIES } from "./theme.ts";
import { keyName, keyNames, money, type Words } from "./words.ts";

export interface Group {
  name: string;
  cost: Amount;
}

/** Groups by one key, the dearest first: what bars and stacks are made of, with what the answer had no room for. */
export interface Groups {
  key: string;
  all: Group[];
  total: Amount;
  unlisted: Amount;
}

/** The outer key that is no stretch of time; undefined if there is none. */
export function groupKey(report: Report): string | undefined {
  return report.keys.find((key) => !TIMES.includes(key));
}

export function groupsOf(report: Report, key: string): Groups {
  const costs = new Map<string, Amount[]>();
  for (const row of report.rows) {
    const name = row.group[key] ?? "";
    costs.set(name, [...(costs.get(name) ?? []), row.sums.totalCost]);
  }
  const all = [...costs].map(([name, parts]) => ({ name, cost: sum(parts) }));
  if (!TIMES.includes(key)) all.sort((one, other) => Number(other.cost.units > one.cost.units) - Number(other.cost.units < one.cost.units));
  const total = report.totals.totalCost;
  return { key, all, total, unlisted: less(total, sum(all.map((group) => group.cost))) };
}

/** Those with a colour of their own, and the rest as one. */
export function shown(groups: Groups): { name: string; cost: Amount; color: string }[] {
  const own = groups.all.length <= SERIES ? groups.all.length : SERIES - 1;
  const series = groups.all.slice(0, own).map((group, at) => ({ ...group, color: `--series-${at + 1}` }));
  const others = groups.all.slice(own);
  const rest = sum([...others.map((group) => group.cost), groups.unlisted]);
  if (others.length > 0 || groups.unlisted.units !== 0n) {
    const name = groups.unlisted.units === 0n ? `${others.length} other ${keyNames(groups.key)}` : `Other ${keyNames(groups.key)}`;
    series.push({ name, cost: rest, color: "--series-rest" });
  }
  return series;
}

/** Bars that are the legend of the days, too. */
export function groupsSection(groups: Groups, words: Words): HTMLElement {
  const series = shown(groups);
  const widest = Math.max(...series.map((one) => drawn(one.cost)), 1e-12);
  const total = drawn(groups.total);
  const bars = series.map((one) => {
    const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
    const bar = wide(h("span", { class: "bar" }), drawn(one.cost) / widest);
    swatch.style.background = bar.style.background = `var(${one.color})`;
    const share = total > 0 ? words.share(drawn(one.cost) / total) : "";
    return h(
      "li",
      {},
      h("span", { class: "name" }, swatch, h("span", { title: one.name }, one.name || "(none)")),
      h("span", { class: "value" }, money(words, one.cost), h("span", { class: "soft" }, share)),
      h("span", { class: "track", "aria-hidden": "true" }, bar),
    );
  });
  const title = `By ${keyName(groups.key).toLowerCase()}`;
  return h("section", { class: "groups", "aria-label": title }, h("h2", {}, title), h("ol", {}, ...bars));
}
