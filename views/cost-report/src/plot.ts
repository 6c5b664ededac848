import uPlot from "uplot";
import { drawn } from "./amount.ts";
import { h } from "./dom.ts";
import { color } from "./theme.ts";
import type { Trend } from "./trend.ts";
import { money, type Words } from "./words.ts";

const HEIGHT_PX = 220;

/** Stacked bars, told one by one to pointers and arrow keys. The element draws itself once it has a place on the page. */
export function plotted(trend: Trend, words: Words, label: string): HTMLElement {
  const tip = h("div", { class: "tip", "aria-live": "polite", hidden: true });
  const canvas = h("div", { "aria-hidden": "true" });
  const chart = h("div", { class: "chart", tabindex: 0, role: "group", "aria-roledescription": "chart", "aria-label": label }, canvas, tip);
  let plot: uPlot | undefined;
  const draw = () => {
    const width = chart.clientWidth;
    if (width === 0) return;
    if (plot) plot.setSize({ width, height: HEIGHT_PX });
    else plot = new uPlot(options(trend, words, width, (at) => tell(at)), data(trend), canvas);
  };
  const tell = (at: number | null | undefined) => {
    tip.hidden = at === null || at === undefined;
    if (at === null || at === undefined || !plot) return;
    tip.replaceChildren(...told(trend, at, words));
    const left = plot.valToPos(at, "x") + plot.bbox.left / devicePixelRatio;
    const room = chart.clientWidth - tip.offsetWidth;
    tip.style.left = `${Math.max(0, Math.min(room, left + (left > chart.clientWidth / 2 ? -tip.offsetWidth - 12 : 12)))}px`;
  };
  chart.addEventListener("keydown", (event) => {
    const last = trend.labels.length - 1;
    const now = plot?.cursor.idx ?? -1;
    const to = { ArrowRight: now + 1, ArrowLeft: now < 0 ? last : now - 1, Home: 0, End: last }[event.key];
    if (event.key === "Escape") leave();
    if (to === undefined || !plot) return;
    event.preventDefault();
    const left = plot.valToPos(Math.max(0, Math.min(last, to)), "x");
    plot.setCursor({ left, top: 0 });
  });
  const leave = () => plot?.setCursor({ left: -10, top: -10 });
  chart.addEventListener("blur", leave);
  const observer = new ResizeObserver(() => {
    if (chart.isConnected) return requestAnimationFrame(draw);
    observer.disconnect();
    plot?.destroy();
  });
  observer.observe(chart);
  return chart;
}

function told(trend: Trend, at: number, words: Words): HTMLElement[] {
  const parts = trend.series
    .filter((series) => trend.series.length > 1 && (series.costs[at]?.units ?? 0n) !== 0n)
    .map((series) => {
      const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = `var(${series.color})`;
      return h("div", {}, h("span", { class: "name" }, swatch, h("span", {}, series.name)), money(words, series.costs[at]!));
    });
  const total = trend.totals[at];
  return [h("strong", {}, words.stretch(trend.labels[at] ?? ""), ": ", total && money(words, total)), ...parts];
}

/** Each series on top of those before it, the highest first, so that the lower are drawn over it. */
function data(trend: Trend): uPlot.AlignedData {
  const heights: number[][] = [];
  for (const series of trend.series) {
    const below = heights.at(-1);
    heights.push(series.costs.map((cost, at) => (below?.[at] ?? 0) + drawn(cost)));
  }
  return [trend.labels.map((_, at) => at), ...heights.reverse()];
}

function options(trend: Trend, words: Words, width: number, tell: (at: number | null | undefined) => void): uPlot.Options {
  const [ink, line, page] = [color("--ink-soft"), color("--line"), color("--page")];
  const font = `12px ${getComputedStyle(document.body).fontFamily}`;
  const last = trend.labels.length - 1;
  const bars = uPlot.paths.bars!({ size: [0.8, 40], radius: 0 });
  const series = trend.series.map((one) => ({ label: one.name, fill: color(one.color), stroke: page, width: trend.series.length > 1 && last < 100 ? 1 : 0, paths: bars, points: { show: false } }));
  return {
    width,
    height: HEIGHT_PX,
    padding: [12, 4, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
    scales: {
      x: { time: false, range: [-0.5, last + 0.5] },
      y: { range: (_, __, highest) => [0, highest > 0 ? highest * 1.05 : 1] },
    },
    axes: [
      {
        font, stroke: ink, space: 64, gap: 6, size: 32, grid: { show: false }, ticks: { stroke: line, width: 1, size: 4 },
        incrs: [1, 2, 3, 5, 7, 10, 14, 21, 28, 60],
        values: (_, splits) => splits.map((at) => words.stretch(trend.labels[at] ?? "", "short")),
      },
      {
        font, stroke: ink, space: 36, gap: 6, grid: { stroke: line, width: 1 }, ticks: { show: false },
        size: (self, values) => {
          self.ctx.font = `${12 * devicePixelRatio}px sans-serif`;
          return Math.max(24, ...(values ?? []).map((value) => self.ctx.measureText(value).width / devicePixelRatio + 14));
        },
        values: (_, splits) => splits.map((value) => words.tick(value)),
      },
    ],
    series: [{}, ...series.reverse()],
    hooks: { setCursor: [(self) => tell(self.cursor.idx)] },
  };
}
