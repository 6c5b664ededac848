import { type Amount, amount, ZERO } from "./amount.ts";

/** Sums of a group or of all. */
export interface Sums {
  operations: number;
  inputTokens: number;
  outputTokens: number;
  totalTokens: number;
  inputCost: Amount;
  outputCost: Amount;
  totalCost: Amount;
  averageCost?: Amount;
  /** Operations whose model had no price. */
  unpriced: number;
}

export interface Row {
  group: Record<string, string>;
  sums: Sums;
}

/** The period before. */
export interface Previous {
  from: string;
  to: string;
  /** Until when its costs may be too low. */
  incompleteBefore?: string;
  operations: number;
  totalTokens: number;
  totalCost: Amount;
  change: Amount;
  changePercent?: number;
}

export interface Limit {
  period: string;
  of: string;
  hard: boolean;
  limit: Amount;
  spent: Amount;
  reserved: Amount;
  status: string;
}

export interface Budget {
  limit?: Amount;
  spent: Amount;
  reserved: Amount;
  status: string;
  forecast?: Amount;
  limits: Limit[];
}

export interface Report {
  from: string;
  to: string;
  zone?: string;
  /** Until when costs may be too low. */
  incompleteBefore?: string;
  keys: string[];
  rows: Row[];
  truncated: boolean;
  totals: Sums;
  previous?: Previous;
  budget?: Budget;
}

export type Arguments = Record<string, unknown>;

/** Keys that are stretches of time. */
export const TIMES = ["day", "week", "month"];

type Fields = Record<string, unknown>;

/** Reads a structured result of cost_report; undefined for what is none. What a server does not tell is left out. */
export function readReport(value: unknown, asked: Arguments): Report | undefined {
  const fields = object(value);
  const totals = sums(fields?.totals);
  if (!fields || !totals || !Array.isArray(fields.rows) || !text(fields.from) || !text(fields.to)) return undefined;
  const rows: Row[] = [];
  for (const row of fields.rows) {
    const [group, ofGroup] = [object(object(row)?.group), sums(row)];
    if (!group || !ofGroup) return undefined;
    rows.push({ group: Object.fromEntries(Object.entries(group).map(([key, is]) => [key, String(is)])), sums: ofGroup });
  }
  const wanted = Array.isArray(asked.group_by) ? asked.group_by.map(String) : ["model"];
  const keys = rows[0] ? Object.keys(rows[0].group) : wanted;
  // An object has no order that is sure to come through; the question has.
  keys.sort((one, other) => wanted.indexOf(one) - wanted.indexOf(other));
  return {
    from: String(fields.from),
    to: String(fields.to),
    zone: text(fields.zone),
    incompleteBefore: text(fields.incomplete_before),
    keys,
    rows,
    truncated: fields.truncated === true,
    totals,
    previous: previous(fields.previous),
    budget: budget(fields.budget),
  };
}

function sums(value: unknown): Sums | undefined {
  const fields = object(value);
  const totalCost = amount(fields?.total_cost_usd);
  if (!fields || !totalCost) return undefined;
  return {
    operations: count(fields.operations),
    inputTokens: count(fields.input_tokens),
    outputTokens: count(fields.output_tokens),
    totalTokens: count(fields.total_tokens),
    inputCost: amount(fields.input_cost_usd) ?? ZERO,
    outputCost: amount(fields.output_cost_usd) ?? ZERO,
    totalCost,
    averageCost: amount(fields.average_cost_usd),
    unpriced: count(fields.unpriced_operations),
  };
}

function previous(value: unknown): Previous | undefined {
  const fields = object(value);
  const [totalCost, change] = [amount(fields?.total_cost_usd), amount(fields?.change_usd)];
  if (!fields || !totalCost || !change) return undefined;
  const percent = amount(fields.change_percent);
  return {
    from: String(fields.from),
    to: String(fields.to),
    incompleteBefore: text(fields.incomplete_before),
    operations: count(fields.operations),
    totalTokens: count(fields.total_tokens),
    totalCost,
    change,
    changePercent: percent && Number(percent.text),
  };
}

function budget(value: unknown): Budget | undefined {
  const fields = object(value);
  const spent = amount(fields?.spent_usd);
  if (!fields || !spent) return undefined;
  const limits: Limit[] = [];
  for (const one of Array.isArray(fields.limits) ? fields.limits : []) {
    const of = object(one);
    const [limit, used] = [amount(of?.limit_usd), amount(of?.spent_usd)];
    if (!of || !limit || !used) continue;
    limits.push({
      period: String(of.period),
      of: String(of.of),
      hard: of.hard === true,
      limit,
      spent: used,
      reserved: amount(of.reserved_usd) ?? ZERO,
      status: String(of.status),
    });
  }
  return {
    limit: amount(fields.limit_usd),
    spent,
    reserved: amount(fields.reserved_usd) ?? ZERO,
    status: String(fields.status),
    forecast: amount(fields.forecast_month_end_usd),
    limits,
  };
}

function object(value: unknown): Fields | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function count(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}
