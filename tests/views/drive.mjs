// Shows the view of cost_report in headless Chromium, in several ways, and prints what it saw as one line of JSON.
// node drive.mjs CHROMIUM FOLDER: prints its origin first, and reads a line with the server's URL, the key and the arguments.
// With pages in that line these are shown in place of the server's, once each.
import { createInterface } from "node:readline";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { look } from "./look.mjs";
import { serve } from "./serve.mjs";

const [executablePath, folder] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const served = await serve();
console.log(JSON.stringify({ origin: served.origin }));
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { url, key, args, empty, pages } = JSON.parse((await lines.next()).value);

const browser = await chromium.launch({
  executablePath,
  args: ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

/** A page of its own with the view in it; what it asked the network for, and what it complained of. */
async function opened(options = {}, { width = 960, reducedMotion = "reduce" } = {}) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, reducedMotion, locale: "en-US", timezoneId: "UTC" });
  const page = await context.newPage();
  const [requests, complaints] = [[], []];
  const isView = (frame) => frame.parentFrame()?.parentFrame() === page.mainFrame();
  page.on("request", (request) => {
    if (isView(request.frame())) requests.push(request.url());
  });
  page.on("console", (message) => {
    // What the host's own client is told by the server (that there are no streams, say) is none of the page's.
    const isOfServer = message.location().url === url;
    if (["error", "warning"].includes(message.type()) && !isOfServer) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("dialog", (dialog) => {
    complaints.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  await page.goto(served.origin);
  const shown = await page.evaluate((asked) => window.host.show(asked), {
    url, key, sandbox: served.sandbox, mode: "legacy", args, context: { theme: "light", locale: "en-US" }, ...options,
  });
  const frame = page.frames().find(isView);
  return {
    page, frame, shown, complaints, requests,
    async look() {
      return {
        ...(await frame.evaluate(look)), shown, complaints, requests,
        log: await page.evaluate(() => window.host.log),
      };
    },
    async faults() {
      await frame.evaluate(`${axe}; undefined`);
      const found = await frame.evaluate((rules) => axe.run(document, { runOnly: rules, resultTypes: ["violations"] }), RULES);
      return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html} ${node.failureSummary}`).join("; ")}`);
    },
    async shot(name) {
      // A frame that has just grown is not painted at once.
      await page.setViewportSize({ width, height: await page.evaluate(() => document.documentElement.scrollHeight) });
      await page.waitForTimeout(250);
      await page.screenshot({ path: `${folder}/${name}.png` });
    },
    settled: () => frame.waitForFunction(() => document.querySelector(".trend table, .trend .note, #report > .waiting:not(#waiting), #notice p") && document.querySelector("main").ariaBusy !== "true"),
    close: () => context.close(),
  };
}

/** Opens, waits, looks and closes. */
async function glance(name, options, window, during = async () => ({})) {
  const view = await opened(options, window);
  await view.settled();
  const more = await during(view);
  const faults = await view.faults();
  await view.shot(name);
  const seen = { ...(await view.look()), faults, ...more };
  await view.close();
  return seen;
}

async function keyboard(view) {
  const { page, frame } = view;
  const press = (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());
  const path = [];
  const focus = () => frame.evaluate(() => {
    const { activeElement: on } = document;
    return `${on.tagName.toLowerCase()} ${on.id || on.getAttribute("aria-label")?.split(/[,.]/)[0] || on.textContent}`.trim();
  });
  for (let at = 0; at < 50; at += 1) {
    await press("Tab");
    const now = await focus();
    if (now.startsWith("body") && path.length > 0) break;
    path.push(now);
  }
  // All of it once more, this time with a purpose at each stop.
  const to = async (name) => {
    for (let at = 0; at < 100 && (await focus()) !== name; at += 1) await press("Tab");
    if ((await focus()) !== name) throw new Error(`no ${name} in the order of tabs: ${path}`);
  };
  const chart = path.find((name) => name.startsWith("div Costs by day"));
  await to(chart);
  await press("End");
  const tip = await frame.locator(".tip").innerText();
  await press("ArrowLeft");
  const before = await frame.locator(".tip").innerText();
  await press("Escape");
  const isGone = await frame.locator(".tip").isHidden();
  await to("summary The chart as a table");
  await press("Enter");
  const isOpen = await frame.locator("details").evaluate((details) => details.open);
  await to("button Model");
  await press("Enter");
  const sorted = (await view.look()).table;
  await to("select group");
  await press("u");
  await frame.waitForFunction(() => document.querySelector("section.table thead th")?.innerText.startsWith("User"));
  await view.settled();
  return { path, tip, before, isGone, isOpen, sorted, after: await focus(), remains: await frame.locator("details").evaluate((details) => details.open) };
}

/** Dark by the host's word after the page is there, with colours of the host's. */
async function darkened({ page, frame }) {
  const light = await frame.evaluate(look);
  const variables = { "--color-background-primary": "light-dark(#ffffff, #101418)", "--color-text-primary": "light-dark(#101418, #f0f4f8)", "--font-sans": "DejaVu Sans, sans-serif" };
  await page.evaluate((variables) => window.host.bridge.sendHostContextChange({ theme: "dark", styles: { variables } }), variables);
  await frame.waitForFunction(() => getComputedStyle(document.documentElement).colorScheme === "dark");
  await frame.waitForSelector("canvas");
  await page.waitForTimeout(300);
  return { light };
}

async function range({ page, frame }) {
  await frame.fill("#from", args.from);
  const end = new Date(Date.parse(args.from) + 3 * 86_400_000).toISOString().slice(0, 10);
  await frame.fill("#to", end);
  await frame.press("#to", "Enter");
  await frame.waitForFunction(() => document.querySelector("main").ariaBusy === "false" && document.querySelectorAll(".trend tbody tr").length === 4);
  return {};
}

async function denied(view) {
  const { page, frame } = view;
  await page.evaluate(() => (window.host.deny = true));
  await frame.selectOption("#group", "provider");
  await frame.waitForSelector("#notice p");
  const refused = await view.look();
  await page.evaluate(() => (window.host.deny = false));
  await frame.click("#notice button");
  await frame.waitForFunction(() => document.querySelector("section.table thead th")?.innerText.startsWith("Provider"));
  await view.settled();
  return { refused };
}

const bad = { ...args, group_by: ["colour"] };
const dark = { context: { theme: "dark", locale: "en-US" } };
const scenes = async () => ({
  light: await glance("light", {}),
  dark: await glance("dark", {}, {}, darkened),
  stateless: await glance("stateless", { mode: { pin: "2026-07-28" }, args: { ...args, group_by: ["day", "model"] } }),
  keyboard: await glance("keyboard", {}, {}, keyboard),
  narrow: await glance("narrow", {}, { width: 320 }),
  narrowDark: await glance("narrow-dark", dark, { width: 320 }),
  range: await glance("range", {}, {}, range),
  planted: await glance("planted", { args: { ...args, group_by: ["user"] } }),
  german: await glance("german", { context: { theme: "light", locale: "de-DE" } }),
  odd: await glance("odd", { context: { locale: "no such locale", styles: { variables: { "--color-text-primary": "#fff", "--else": "x" } } } }),
  altered: await glance("altered", {
    altered: {
      "/zone": "Asia/Seoul",
      "/previous": { from: "2025-12-01T00:00:00Z", to: "2026-01-01T00:00:00Z", operations: 2, total_tokens: 9, total_cost_usd: "40.5", change_usd: "-12.25", change_percent: "-30.2" },
      "/totals/unpriced_operations": 3,
      "/totals/average_cost_usd": "0.125",
      "/budget/status": "WARNING",
      "/budget/limits/0/status": "WARNING",
      "/budget/limits/0/reserved_usd": "3.5",
    },
  }),
  cut: await glance("cut", { args: { ...args, group_by: ["model", "user"] }, altered: { "/truncated": true } }),
  empty: await glance("empty", { args: empty }),
  refused: await glance("refused", { args: bad }),
  cancelled: await glance("cancelled", { cancelled: "the person stopped it" }),
  denied: await glance("denied", {}, {}, denied),
  withoutTools: await glance("without-tools", { withoutTools: true }),
  onlyText: await glance("only-text", { onlyText: true }),
  whole: await glance("whole", { context: { theme: "light", locale: "en-US", displayMode: "inline", availableDisplayModes: ["inline", "fullscreen"] } }, {}, async ({ frame }) => {
    await frame.click("#whole");
    await frame.waitForFunction(() => document.querySelector("#whole").textContent === "Leave full screen");
    return {};
  }),
});
const given = async () => {
  const seen = {};
  for (const [name, html] of Object.entries(pages)) seen[name] = await glance(`given-${name}`, { html });
  return seen;
};
const saw = await (pages ? given() : scenes());
// For whoever wonders, beside the pictures.
writeFileSync(`${folder}/${pages ? "given" : "saw"}.json`, JSON.stringify(saw, null, 1));
await browser.close();
served.close();
process.stdout.write(`${JSON.stringify(saw)}\n`, () => process.exit(0));
