import { h } from "./dom.ts";
import { type Arguments, type Report, TIMES } from "./report.ts";
import { keyName } from "./words.ts";

const RANGES: [value: string, name: string][] = [
  ["month", "This month"],
  ["before", "Last month"],
  ["7", "Last 7 days"],
  ["30", "Last 30 days"],
  ["90", "Last 90 days"],
  ["year", "Last 12 months"],
  ["own", "From … to …"],
];

/** What a server groups by that does not say: what every one can. */
const KEYS = ["model", "provider", "user", "operation"];

const SETTLING_MS = 300;
const DAY_MS = 86_400_000;

/** A day of a time zone as YYYY-MM-DD. */
export function dayOf(instant: Date | number, zone: string): string {
  return new Intl.DateTimeFormat("en-CA", { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit" }).format(instant);
}

function daysLater(day: string, days: number): string {
  return new Date(Date.parse(day) + days * DAY_MS).toISOString().slice(0, 10);
}

/** Where a month begins, so many months from that of the day. */
function monthOf(day: string, months: number): string {
  const [year = 0, month = 1] = day.split("-").map(Number);
  return new Date(Date.UTC(year, month - 1 + months, 1)).toISOString().slice(0, 10);
}

/** The range and the grouping, as the tool's arguments. */
export class Controls {
  private readonly range: HTMLSelectElement;
  private readonly group: HTMLSelectElement;
  private readonly from: HTMLInputElement;
  private readonly to: HTMLInputElement;
  private readonly own: HTMLElement;
  private readonly again: HTMLButtonElement;
  private args: Arguments = {};
  private zone = "UTC";

  constructor(
    private readonly form: HTMLElement,
    private readonly ask: (args: Arguments) => void,
    resize: () => void,
  ) {
    // Who goes through the choices by arrow keys passes some that are not meant.
    let soon: ReturnType<typeof setTimeout> | undefined;
    const changed = () => {
      clearTimeout(soon);
      soon = setTimeout(() => this.changed(), SETTLING_MS);
    };
    this.range = h("select", { id: "range", change: changed }, ...RANGES.map(([value, name]) => h("option", { value }, name)));
    this.group = h("select", { id: "group", change: changed });
    this.from = h("input", { id: "from", type: "date", required: true });
    this.to = h("input", { id: "to", type: "date", required: true, input: () => this.to.setCustomValidity("") });
    // A date that is being typed is many dates; so it is shown when it is done.
    const show = h("button", { type: "submit", class: "plain" }, "Show");
    this.own = h("span", { class: "own", hidden: true }, field("From", this.from), field("To", this.to), show);
    this.again = h("button", { type: "button", class: "plain", click: () => this.changed() }, "Refresh");
    const whole = h("button", { type: "button", class: "plain", id: "whole", hidden: true, click: resize }, "Full screen");
    const choices = h("span", { class: "choices", id: "choices" }, field("Period", this.range), this.own, field("Group by", this.group), this.again);
    form.append(choices, whole);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.changed();
    });
  }

  /** Shows what the host can do. */
  allow(callsTools: boolean, mode: string | undefined, modes: readonly string[]): void {
    const choices = this.form.querySelector<HTMLElement>("#choices")!;
    const whole = this.form.querySelector<HTMLElement>("#whole")!;
    choices.hidden = !callsTools;
    const other = mode === "fullscreen" ? "inline" : "fullscreen";
    whole.hidden = !modes.includes(other);
    whole.textContent = other === "inline" ? "Leave full screen" : "Full screen";
    this.form.hidden = choices.hidden && whole.hidden;
  }

  /** Shows what was asked and answered. `isOwn` if it was asked here, so that the choice stands as it was made. */
  follow(args: Arguments, report: Report, keys: string[] | undefined, isOwn: boolean): void {
    this.args = args;
    this.zone = report.zone ?? "UTC";
    const key = report.keys.find((one) => !TIMES.includes(one)) ?? report.keys[0] ?? "model";
    const known = (keys ?? KEYS).filter((one) => !TIMES.includes(one));
    const options = known.includes(key) ? known : [...known, key];
    this.group.replaceChildren(...options.map((one) => h("option", { value: one, selected: one === key }, keyName(one))));
    if (!isOwn) this.range.value = args.from === undefined && args.to === undefined ? "month" : "own";
    this.from.value = dayOf(Date.parse(report.from), this.zone);
    this.to.value = dayOf(Math.max(Date.parse(report.to) - 1, Date.parse(report.from)), this.zone);
    this.own.hidden = this.range.value !== "own";
  }

  private changed(): void {
    const isOwn = this.range.value === "own";
    const opened = isOwn && this.own.hidden;
    this.own.hidden = !isOwn;
    // The dates are still those of the report.
    if (opened) return this.from.focus();
    const { from, to, group_by: _, ...others } = this.args;
    const period = isOwn ? this.ownPeriod() : this.period(this.range.value);
    if (period) this.ask({ ...others, ...period, group_by: [this.group.value] });
  }

  private ownPeriod(): Arguments | undefined {
    const [from, to] = [this.from.value, this.to.value];
    this.to.setCustomValidity(from <= to ? "" : "The end is before the start.");
    if (!this.from.reportValidity() || !this.to.reportValidity()) return undefined;
    return { from, to: daysLater(to, 1) };
  }

  private period(range: string): Arguments {
    const today = dayOf(Date.now(), this.zone);
    switch (range) {
      case "month":
        return {};
      case "before":
        return { from: monthOf(today, -1), to: monthOf(today, 0) };
      case "year":
        return { from: monthOf(today, -11) };
      default:
        return { from: daysLater(today, 1 - Number(range)) };
    }
  }
}

function field(name: string, input: HTMLElement): HTMLElement {
  return h("span", { class: "field" }, h("label", { for: input.id }, name), input);
}
