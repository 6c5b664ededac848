import type { Amount } from "./amount.ts";
import { h } from "./dom.ts";

const NAMES: Record<string, [one: string, many: string]> = {
  day: ["Day", "days"],
  week: ["Week", "weeks"],
  month: ["Month", "months"],
  model: ["Model", "models"],
  provider: ["Provider", "providers"],
  user: ["User", "users"],
  operation: ["Operation", "operations"],
  tool: ["Tool", "tools"],
};

/** What a key to group by is called. */
export function keyName(key: string): string {
  return NAMES[key]?.[0] ?? key;
}

export function keyNames(key: string): string {
  return NAMES[key]?.[1] ?? key;
}

/** Numbers and dates as the host's user writes them. */
export class Words {
  readonly locale: string | undefined;

  constructor(locale: string | undefined) {
    this.locale = undefined;
    try {
      // What the browser does not take for a language is not worth a broken page.
      this.locale = locale && Intl.NumberFormat.supportedLocalesOf(locale)[0];
    } catch {
      // Left to the browser's own.
    }
  }

  /** USD, rounded to what an eye can use: never to nothing, which an exact cost is not. */
  usd(amount: Amount): string {
    return this.money(amount, {});
  }

  /** The same with a sign. */
  change(amount: Amount): string {
    return this.money(amount, { signDisplay: "exceptZero" });
  }

  count(value: number): string {
    return new Intl.NumberFormat(this.locale).format(value);
  }

  short(value: number): string {
    return new Intl.NumberFormat(this.locale, { notation: "compact", maximumFractionDigits: 1 }).format(value);
  }

  share(value: number, options: Intl.NumberFormatOptions = {}): string {
    const format = { style: "percent", maximumFractionDigits: 1, ...options } as const;
    return new Intl.NumberFormat(this.locale, format).format(value);
  }

  /** A tick of an axis, in USD. */
  tick(value: number): string {
    const digits = value !== 0 && Math.abs(value) < 1 ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: 2 };
    return new Intl.NumberFormat(this.locale, {
      style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", minimumFractionDigits: 0, ...digits,
    }).format(value);
  }

  /** A stretch of time as the tool names it: 2026-03-01, 2026-03 or 2026-W09. */
  stretch(label: string, length: "short" | "long" = "long"): string {
    const found = /^(\d{4})-(\d{2})(?:-(\d{2}))?$/.exec(label);
    if (!found) return label;
    const [, year, month, day] = found;
    const style: Intl.DateTimeFormatOptions = day ? { day: "numeric", month: "short" } : { month: length };
    if (length === "long" || !day) style.year = "numeric";
    if (length === "long" && day) style.weekday = "short";
    const date = Date.UTC(Number(year), Number(month) - 1, Number(day ?? 1));
    return new Intl.DateTimeFormat(this.locale, { ...style, timeZone: "UTC" }).format(date);
  }

  /** The days of a period whose end is excluded. */
  period(from: string, to: string, zone: string): string {
    const format = new Intl.DateTimeFormat(this.locale, { dateStyle: "medium", timeZone: zone });
    // The last moment that still belongs to it.
    return format.formatRange(new Date(from), new Date(Math.max(Date.parse(to) - 1, Date.parse(from))));
  }

  private money(amount: Amount, options: Intl.NumberFormatOptions): string {
    const size = amount.units < 0n ? -amount.units : amount.units;
    let digits: Intl.NumberFormatOptions = { minimumFractionDigits: 2, maximumFractionDigits: 2 };
    if (size > 0n && size < 10n ** 10n) digits = { maximumSignificantDigits: 2, minimumFractionDigits: 0 };
    else if (size > 0n && size < 10n ** 12n) digits = { minimumFractionDigits: 2, maximumFractionDigits: 4 };
    const style = { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", ...digits, ...options } as const;
    // Text is read as the exact decimal it is.
    return new Intl.NumberFormat(this.locale, style).format(amount.text as `${number}`);
  }
}

/** An amount for people, with the exact one behind it. */
export function money(words: Words, amount: Amount): HTMLElement {
  return h("data", { value: amount.text, title: `${amount.text} USD` }, words.usd(amount));
}

export function number(words: Words, value: number): HTMLElement {
  return h("data", { value }, words.count(value));
}
