import { h } from "./dom.ts";
import type { Report } from "./report.ts";
import { money, number, type Words } from "./words.ts";

/** The period's sums at a glance, against the period before. */
export function cardsSection(report: Report, words: Words): HTMLElement {
  const { totals, previous } = report;
  const cards = [
    card("Total", money(words, totals.totalCost), previous && comparison(report, words)),
    card("Operations", number(words, totals.operations), totals.averageCost && h("span", {}, money(words, totals.averageCost), " each")),
    card(
      "Tokens",
      h("data", { value: totals.totalTokens, title: words.count(totals.totalTokens) }, words.short(totals.totalTokens)),
      h("span", {}, `${words.short(totals.inputTokens)} in, ${words.short(totals.outputTokens)} out`),
    ),
  ];
  if (totals.unpriced > 0) {
    cards.push(card("Without a price", number(words, totals.unpriced), h("span", {}, "operations count as nothing: costs are too low")));
  }
  const until = report.incompleteBefore ?? previous?.incompleteBefore;
  if (until) {
    const what = report.incompleteBefore ? "costs from before may be missing" : "the period before may be too low";
    cards.push(card("Incomplete before", h("time", { datetime: until }, until.slice(0, 10)), h("span", {}, what)));
  }
  return h("dl", { class: "cards" }, ...cards);
}

function card(name: string, value: HTMLElement, note: HTMLElement | undefined): HTMLElement {
  return h("div", { class: "card" }, h("dt", {}, name), h("dd", { class: "figure" }, value), note && h("dd", { class: "soft" }, note));
}

function comparison(report: Report, words: Words): HTMLElement | undefined {
  const { previous, zone = "UTC" } = report;
  if (!previous) return undefined;
  const { change, changePercent } = previous;
  const arrow = change.units === 0n ? "" : change.units > 0n ? "▲ " : "▼ ";
  const percent = changePercent === undefined ? "" : ` (${words.share(changePercent / 100, { signDisplay: "exceptZero" })})`;
  const against = `against ${words.usd(previous.totalCost)}, ${words.period(previous.from, previous.to, zone)}`;
  return h(
    "span",
    { class: "comparison" },
    h("span", { "aria-hidden": "true" }, arrow),
    h("data", { value: change.text }, words.change(change)),
    `${percent} `,
    against,
  );
}
