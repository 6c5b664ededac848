import { cardsSection } from "./cards.ts";
import { budgetSection } from "./budget.ts";
import { Controls } from "./controls.ts";
import { byId, h, replace } from "./dom.ts";
import { type Groups, groupKey, groupsOf, groupsSection } from "./groups.ts";
import { Host, type ToolResult } from "./host.ts";
import { type Arguments, readReport, type Report, TIMES } from "./report.ts";
import { type Sorting, tableSection } from "./table.ts";
import { wear } from "./theme.ts";
import { stretches, type Trend, trendOf, trendSection } from "./trend.ts";
import { keyName, Words } from "./words.ts";

/** Most groups of one answer of the tool. */
const MOST_ROWS = 200;
/** Longer periods are shown by month. */
const MOST_DAYS = 186;
/** Without a word from the host for so long, the reader is told. */
const PATIENCE_MS = 10_000;

/** What is on the page. */
interface Shown {
  report: Report;
  args: Arguments;
  groups?: Groups;
  trend?: Trend;
  /** Why there is no trend. */
  fault?: string;
}

let words = new Words(undefined);
let args: Arguments = {};
let shown: Shown | undefined;
let isTableOpen = false;
const sorting: Sorting = { column: "Total cost", descending: true };
/** Counts what was asked: an answer to what is no longer the last is not shown. */
let turn = 0;

const host = new Host(window.parent, {
  input: (params) => {
    args = params.arguments ?? {};
  },
  result: (result) => {
    turn += 1;
    take(result, args, false);
  },
  cancelled: ({ reason }) => say(`The report was cancelled${reason ? `: ${reason}` : ""}.`, () => ask(args)),
  context: (context) => {
    wear(context);
    controls.allow(host.callsTools, context.displayMode, context.availableDisplayModes ?? []);
    const before = words.locale;
    words = new Words(context.locale);
    if (words.locale === before) renderCharts();
    else render();
  },
});

const controls = new Controls(byId("controls"), (args) => void ask(args, true), () => {
  const mode = host.context.displayMode === "fullscreen" ? "inline" : "fullscreen";
  host.display(mode).catch((error: Error) => say(`The host did not change the display: ${error.message}`));
});

/** Calls the tool through the host. */
async function ask(args: Arguments, isOwn = false): Promise<void> {
  const mine = ++turn;
  busy(true);
  try {
    const result = await call(args);
    if (mine === turn) take(result, args, isOwn);
  } catch (error) {
    if (mine === turn) say(`The host did not run the report: ${(error as Error).message}`, () => ask(args, isOwn));
  } finally {
    if (mine === turn) busy(false);
  }
}

function call(args: Arguments): Promise<ToolResult> {
  return host.callTool(host.context.toolInfo?.tool.name ?? "cost_report", args);
}

function take(result: ToolResult, asked: Arguments, isOwn: boolean): void {
  if (result?.isError) return say(text(result) || "The report failed.", () => ask(asked, isOwn));
  const report = readReport(structure(result), asked);
  if (!report) return say("The report could not be read.", () => ask(asked, isOwn));
  say("");
  args = asked;
  shown = { report, args };
  const schema = host.context.toolInfo?.tool.inputSchema?.properties as any;
  const keys: unknown = schema?.group_by?.items?.enum;
  controls.follow(asked, report, Array.isArray(keys) ? keys.map(String) : report.zone === undefined ? undefined : ["model", "provider", "user", "operation", "tool"], isOwn);
  const key = groupKey(report);
  // Of an answer that was cut, only what has one key is whole but for the groups left out.
  if (key && (!report.truncated || report.keys.length === 1)) shown.groups = groupsOf(report, key);
  render();
  announce(report, isOwn);
  if (report.rows.length > 0) void complete(shown);
}

/** Asks for what the report does not have itself: days, or groups of which it had only some. */
async function complete(to: Shown): Promise<void> {
  const { report } = to;
  const time = report.keys.find((key) => TIMES.includes(key));
  const period = { ...to.args, from: report.from, to: report.to };
  to.fault = undefined;
  try {
    const key = groupKey(report);
    if (key && !to.groups && host.callsTools) to.groups = groupsOf(await supplement({ ...period, group_by: [key] }), key);
    if (time && !report.truncated) to.trend = trendOf(report, time, to.groups);
    else if (host.callsTools) {
      const unit = stretches(report, "day").length > MOST_DAYS ? "month" : "day";
      const stacked = (to.groups?.all.length ?? MOST_ROWS) * stretches(report, unit).length <= MOST_ROWS && to.groups?.unlisted.units === 0n;
      const answer = await supplement({ ...period, group_by: stacked && key ? [unit, key] : [unit] });
      to.trend = trendOf(answer, unit, stacked ? to.groups : undefined);
    } else to.fault = "This host does not let the page ask for days. Ask for the report grouped by day.";
  } catch (error) {
    to.fault = (error as Error).message;
  }
  if (shown === to) renderCharts();
}

async function supplement(asked: Arguments): Promise<Report> {
  const result = await call(asked);
  const report = result.isError ? undefined : readReport(structure(result), asked);
  if (!report || report.truncated) throw new Error(text(result) || "The days could not be read.");
  return report;
}

function render(): void {
  if (!shown) return;
  const { report } = shown;
  const zone = report.zone ?? "UTC";
  byId("period").textContent = `${words.period(report.from, report.to, zone)} · ${zone}`;
  const isEmpty = report.rows.length === 0;
  const whole = h(
    "div",
    { id: "report" },
    cardsSection(report, words),
    report.budget && budgetSection(report.budget, words),
    isEmpty ? h("p", { class: "waiting" }, "There are no costs in this period.") : charts(shown),
    !isEmpty && tableSection(report, words, sorting),
  );
  replace(byId("report"), whole);
}

/** Draws what has colours of the theme or came later than the rest. */
function renderCharts(): void {
  const old = document.querySelector(".charts");
  if (shown && old) replace(old, charts(shown));
}

function charts(of: Shown): HTMLElement {
  return h("div", { class: "charts" }, trendSlot(of, of.trend), of.groups && groupsSection(of.groups, words));
}

function trendSlot(of: Shown, trend: Trend | undefined): HTMLElement {
  if (trend) return trendSection(trend, of.report.zone ?? "UTC", words, isTableOpen, (isOpen) => (isTableOpen = isOpen));
  const again = host.callsTools && h("button", { type: "button", class: "plain", click: () => void complete(of) }, "Try again");
  const inner = of.fault ? h("p", { class: "note" }, of.fault, " ", again) : h("p", { class: "waiting chart" }, "Asking for days…");
  return h("section", { class: "trend", "aria-label": "By day" }, h("h2", {}, "By day"), inner);
}

/** Tells those who do not see it what is on the page now, and the model, where the person chose it. */
function announce(report: Report, isOwn: boolean): void {
  const by = report.keys.map((key) => keyName(key).toLowerCase()).join(" and ");
  const period = words.period(report.from, report.to, report.zone ?? "UTC");
  byId("status").textContent = `Costs of ${period} by ${by}: ${words.usd(report.totals.totalCost)} in total.`;
  if (!isOwn) return;
  const told = `The user now looks at cost_report from ${report.from} to ${report.to} by ${by}: ${report.totals.totalCost.text} USD in total.`;
  // It is a courtesy; a host that declines has lost nothing.
  host.tellModel(told).catch(() => undefined);
}

function say(message: string, retry?: () => void): void {
  // What had the focus is about to go.
  if (byId("notice").contains(document.activeElement)) byId("title").focus();
  byId("notice").replaceChildren(
    ...(message ? [h("p", {}, message), ...(retry && host.callsTools ? [h("button", { type: "button", class: "plain", click: retry }, "Try again")] : [])] : []),
  );
  if (message) document.getElementById("waiting")?.remove();
}

function busy(isBusy: boolean): void {
  byId("main").setAttribute("aria-busy", String(isBusy));
}

function text(result: ToolResult): string {
  return (result.content ?? []).map((block) => (block.type === "text" ? block.text : "")).join("\n").trim();
}

/** The structured answer; hosts that hand on only text have it there as JSON. */
function structure(result: ToolResult): unknown {
  if (result?.structuredContent) return result.structuredContent;
  try {
    return JSON.parse(text(result));
  } catch {
    return undefined;
  }
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", renderCharts);
if (window.parent === window) {
  byId("waiting").textContent = "This page shows what the tool cost_report answers, inside an MCP client that shows views. It has no data of its own.";
} else {
  const late = setTimeout(() => say("The host does not answer."), PATIENCE_MS);
  host.connect().then(
    () => {
      clearTimeout(late);
      say("");
    },
    (error: Error) => {
      clearTimeout(late);
      say(`The host refused this page: ${error.message}`);
    },
  );
}
