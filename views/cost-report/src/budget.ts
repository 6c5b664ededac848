import { drawn, less, sum, ZERO } from "./amount.ts";
import { h, wide } from "./dom.ts";
import type { Budget, Limit } from "./report.ts";
import { money, type Words } from "./words.ts";

const STATUS: Record<string, [className: string, words: string]> = {
  OK: ["good", "OK"],
  WARNING: ["warn", "Warning"],
  EXCEEDED: ["bad", "Exceeded"],
};

export function badge(status: string): HTMLElement {
  const [className, words] = STATUS[status] ?? ["", status];
  return h("span", { class: `badge ${className}` }, words);
}

/** Where the month's budget stands, with every limit that binds. */
export function budgetSection(budget: Budget, words: Words): HTMLElement {
  const limits = budget.limits.map((limit, at) => meter(limit, at, words));
  const forecast = budget.forecast && forecastLine(budget, words);
  return h(
    "section",
    { class: "budget", "aria-labelledby": "budget-title" },
    h("h2", { id: "budget-title" }, "Budget ", badge(budget.status)),
    ...(limits.length > 0 ? limits : [unlimited(budget, words)]),
    forecast,
  );
}

function unlimited(budget: Budget, words: Words): HTMLElement {
  const held = budget.reserved.units > 0n ? [" and ", money(words, budget.reserved), " held"] : [];
  return h("p", {}, "No limit is set. ", money(words, budget.spent), " spent", ...held, " this UTC month.");
}

function meter(limit: Limit, at: number, words: Words): HTMLElement {
  const name = `${limit.of === "user" ? "Your own limit" : "Organisation"}, UTC ${limit.period}`;
  const whole = drawn(limit.limit);
  const used = sum([limit.spent, limit.reserved]);
  const share = (part: number) => (whole > 0 ? part / whole : 1);
  const left = less(limit.limit, used);
  const [className] = STATUS[limit.status] ?? [""];
  const spent = wide(h("span", { class: `spent ${className}` }), share(drawn(limit.spent)));
  const held = wide(h("span", { class: "held" }), Math.min(share(drawn(limit.reserved)), 1 - Math.min(1, share(drawn(limit.spent)))));
  const told = [`${words.usd(limit.spent)} spent`, `${words.usd(limit.reserved)} held`, `of ${words.usd(limit.limit)}`];
  const bar = h(
    "div",
    {
      class: "meter", role: "meter", "aria-labelledby": `limit-${at}`, "aria-valuemin": 0, "aria-valuemax": whole || 1,
      "aria-valuenow": Math.min(drawn(used), whole || 1), "aria-valuetext": told.join(", "),
    },
    spent,
    held,
  );
  return h(
    "div",
    { class: "limit" },
    h("p", { id: `limit-${at}`, class: "head" }, name, h("span", { class: "soft" }, limit.hard ? "hard: refuses what does not fit" : "soft: only tells")),
    bar,
    h(
      "p",
      { class: "head" },
      h("span", {}, money(words, limit.spent), " spent", limit.reserved.units > 0n && " + ", limit.reserved.units > 0n && money(words, limit.reserved), limit.reserved.units > 0n && " held", " of ", money(words, limit.limit)),
      left.units >= 0n
        ? h("span", {}, money(words, left), " left")
        : h("span", {}, money(words, less(ZERO, left)), " over"),
      badge(limit.status),
    ),
  );
}

function forecastLine(budget: Budget, words: Words): HTMLElement {
  const { forecast = ZERO, limit } = budget;
  const above = limit && forecast.units > limit.units;
  return h(
    "p",
    { class: "forecast" },
    "At this month's rate ",
    money(words, forecast),
    " by the end of the UTC month",
    above ? h("strong", { class: "warn-text" }, ", above the month's limit") : undefined,
    ".",
  );
}
