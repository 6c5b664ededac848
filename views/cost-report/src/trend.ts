import { type Amount, drawn, sum, ZERO } from "./amount.ts";
import { h, scrolling } from "./dom.ts";
import { type Groups, shown } from "./groups.ts";
import { plotted } from "./plot.ts";
import type { Report } from "./report.ts";
import { keyName, keyNames, money, type Words } from "./words.ts";

export interface Series {
  name: string;
  color: string;
  costs: Amount[];
}

/** Costs along time, in stacks of series. */
export interface Trend {
  unit: string;
  labels: string[];
  totals: Amount[];
  series: Series[];
}

const DAY_MS = 86_400_000;

/** The days or months of a period, each by the tool's name for it, in the time zone of the report. */
export function stretches(report: Report, unit: string): string[] {
  const [from, to] = [Date.parse(report.from), Date.parse(report.to)];
  const format = new Intl.DateTimeFormat("en-CA", { timeZone: report.zone ?? "UTC", year: "numeric", month: "2-digit", day: "2-digit" });
  const length = unit === "month" ? 7 : 10;
  const last = format.format(Math.max(to - 1, from));
  const labels: string[] = [];
  for (let at = Date.parse(format.format(from)); at <= Date.parse(last); at += DAY_MS) {
    const label = new Date(at).toISOString().slice(0, length);
    if (labels.at(-1) !== label) labels.push(label);
  }
  return labels;
}

/** Reads the trend out of a report that has a stretch of time among its keys. */
export function trendOf(report: Report, unit: string, groups: Groups | undefined): Trend {
  const named = report.rows.map((row) => row.group[unit] ?? "");
  // A stretch without costs is a gap, not a missing one. Weeks are as they come.
  const labels = unit === "week" ? [...new Set(named)].sort() : stretches(report, unit);
  for (const name of named) if (!labels.includes(name)) labels.push(name);
  const parts = groups && report.keys.includes(groups.key) ? shown(groups) : [];
  const own = new Set(parts.filter((part) => part.color !== "--series-rest").map((part) => part.name));
  const costs = (label: string, of: (name: string) => boolean) => {
    const rows = report.rows.filter((row) => row.group[unit] === label && of(groups ? (row.group[groups.key] ?? "") : ""));
    return rows.length > 0 ? sum(rows.map((row) => row.sums.totalCost)) : ZERO;
  };
  const series = parts.map(({ name, color }) => ({
    name, color, costs: labels.map((label) => costs(label, (of) => (color === "--series-rest" ? !own.has(of) : of === name))),
  }));
  const totals = labels.map((label) => costs(label, () => true));
  return { unit, labels, totals, series: series.length > 0 ? series : [{ name: "Total", color: "--series-1", costs: totals }] };
}

/** The chart, and the same as a table. */
export function trendSection(trend: Trend, zone: string, words: Words, isOpen: boolean, opened: (isOpen: boolean) => void): HTMLElement {
  const title = `By ${keyName(trend.unit).toLowerCase()}`;
  const highest = trend.totals.reduce((best, cost, at) => (cost.units > (trend.totals[best]?.units ?? 0n) ? at : best), 0);
  const most = `the most is ${words.usd(trend.totals[highest] ?? ZERO)}, ${words.stretch(trend.labels[highest] ?? "")}`;
  const chart = plotted(trend, words, `Costs by ${trend.unit}, a chart of ${trend.labels.length} ${keyNames(trend.unit)}; ${most}. Arrow keys tell each.`);
  const details = h("details", {}, h("summary", {}, "The chart as a table"), table(trend, title, words));
  details.open = isOpen;
  details.addEventListener("toggle", () => opened(details.open));
  const note = h("span", { class: "soft" }, `${keyNames(trend.unit)} of ${zone}`);
  return h("section", { class: "trend", "aria-label": title }, h("div", { class: "head" }, h("h2", {}, title), note), chart, details);
}

function table(trend: Trend, title: string, words: Words): HTMLElement {
  const isStacked = trend.series.length > 1;
  const heads = [keyName(trend.unit), ...(isStacked ? trend.series.map((series) => series.name) : []), "Total"];
  const rows = trend.labels.map((label, at) => {
    const cells = isStacked ? trend.series.map((series) => series.costs[at] ?? ZERO) : [];
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, words.stretch(label)),
      ...[...cells, trend.totals[at] ?? ZERO].map((cost) => h("td", { class: "numeric" }, drawn(cost) === 0 ? "–" : money(words, cost))),
    );
  });
  const head = h("tr", {}, ...heads.map((name, at) => h("th", { scope: "col", class: at > 0 && "numeric" }, name)));
  return scrolling(`Costs ${title.toLowerCase()}`, h("table", {}, h("caption", {}, `Costs ${title.toLowerCase()}`), h("thead", {}, head), h("tbody", {}, ...rows)));
}
