import { type Amount, drawn } from "./amount.ts";
import { h, scrolling } from "./dom.ts";
import { type Report, type Row, type Sums, TIMES } from "./report.ts";
import { keyName, money, number, type Words } from "./words.ts";

interface Column {
  name: string;
  key?: string;
  cell(row: Row): HTMLElement | string;
  total?(sums: Sums): HTMLElement | string;
  compare(one: Row, other: Row): number;
}

export interface Sorting {
  column: string;
  descending: boolean;
}

const amounts = (one: Amount, other: Amount) => (one.units < other.units ? -1 : one.units > other.units ? 1 : 0);

function columns(report: Report, words: Words): Column[] {
  const count = (name: string, of: (sums: Sums) => number): Column => ({
    name, cell: (row) => number(words, of(row.sums)), total: (sums) => number(words, of(sums)), compare: (one, other) => of(one.sums) - of(other.sums),
  });
  const usd = (name: string, of: (sums: Sums) => Amount): Column => ({
    name, cell: (row) => money(words, of(row.sums)), total: (sums) => money(words, of(sums)), compare: (one, other) => amounts(of(one.sums), of(other.sums)),
  });
  const collator = new Intl.Collator(words.locale, { numeric: true });
  const all = drawn(report.totals.totalCost);
  return [
    ...report.keys.map((key) => ({
      name: keyName(key),
      key,
      cell: (row: Row) => (TIMES.includes(key) ? words.stretch(row.group[key] ?? "") : (row.group[key] ?? "")),
      compare: (one: Row, other: Row) => collator.compare(one.group[key] ?? "", other.group[key] ?? ""),
    })),
    count("Operations", (sums) => sums.operations),
    count("Input tokens", (sums) => sums.inputTokens),
    count("Output tokens", (sums) => sums.outputTokens),
    usd("Input cost", (sums) => sums.inputCost),
    usd("Output cost", (sums) => sums.outputCost),
    usd("Total cost", (sums) => sums.totalCost),
    {
      name: "Share",
      cell: (row) => (all > 0 ? words.share(drawn(row.sums.totalCost) / all) : ""),
      compare: (one, other) => amounts(one.sums.totalCost, other.sums.totalCost),
    },
  ];
}

/** Every figure of the report, sortable: what the charts show, for whoever does not see them. */
export function tableSection(report: Report, words: Words, sorting: Sorting): HTMLElement {
  const all = columns(report, words);
  const body = h("tbody");
  const heads = all.map((column) => {
    const button = h("button", { type: "button", click: () => sortBy(column.name) }, column.name);
    return h("th", { scope: "col", class: column.key ? "" : "numeric" }, button);
  });
  const sortBy = (name: string) => {
    sorting.descending = sorting.column === name ? !sorting.descending : all.find((column) => column.name === name)?.key === undefined;
    sorting.column = name;
    fill();
  };
  const fill = () => {
    const by = all.find((column) => column.name === sorting.column);
    const rows = by ? report.rows.toSorted((one, other) => (sorting.descending ? -1 : 1) * by.compare(one, other)) : report.rows;
    all.forEach((column, at) => {
      const sort = column === by ? (sorting.descending ? "descending" : "ascending") : "none";
      heads[at]?.setAttribute("aria-sort", sort);
    });
    body.replaceChildren(...rows.map((row) => h("tr", {}, ...all.map((column) => cell(column, row)))));
  };
  fill();
  const totals = all.slice(report.keys.length).map((column) => h("td", { class: "numeric" }, column.total?.(report.totals) ?? ""));
  const foot = h("tr", {}, h("th", { scope: "row", colspan: report.keys.length }, "Total"), ...totals);
  const name = `Costs by ${report.keys.map((key) => keyName(key).toLowerCase()).join(" and ")}`;
  const table = h("table", {}, h("caption", {}, name), h("thead", {}, h("tr", {}, ...heads)), body, h("tfoot", {}, foot));
  const cut = report.truncated && h("p", { class: "note" }, `Only ${words.count(report.rows.length)} groups are listed; the totals count all of them.`);
  return h("section", { class: "table", "aria-labelledby": "table-title" }, h("h2", { id: "table-title" }, "All figures"), cut, scrolling(name, table));
}

function cell(column: Column, row: Row): HTMLElement {
  const inner = column.cell(row);
  return column.key ? h("th", { scope: "row" }, inner) : h("td", { class: "numeric" }, inner);
}
