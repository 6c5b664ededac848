// What a person, or whoever reads for them, finds on the page; runs within it.
export function look() {
  // What is folded away has no inner text.
  const text = (element) => (element?.innerText || element?.textContent)?.replace(/\s+/g, " ").trim();
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const figure = (element) => {
    const data = element?.querySelector("data");
    return data ? { text: text(data), value: data.value } : { text: text(element) };
  };
  const table = (element) => element && {
    heads: all("thead th", element).map((head) => text(head).replace(/ [▲▼]$/, "")),
    sorts: all("thead th", element).map((head) => head.getAttribute("aria-sort")),
    rows: all("tbody tr", element).map((row) => [...row.cells].map(figure)),
    foot: all("tfoot tr > *", element).map(figure),
  };
  const color = (name) => {
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.color = `var(${name})`;
    const found = getComputedStyle(probe).color.match(/[\d.]+/g).map(Number);
    probe.remove();
    return found;
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [low, high] = [luminance(color(one)), luminance(color(other))].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const series = ["1", "2", "3", "4", "5", "6", "rest"].map((name) => `--series-${name}`);
  const canvas = document.querySelector("canvas");
  const pixels = canvas && canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const painted = new Map();
  for (let at = 0; pixels && at < pixels.length; at += 4) {
    if (pixels[at + 3] === 255) {
      const key = `${pixels[at]},${pixels[at + 1]},${pixels[at + 2]}`;
      painted.set(key, (painted.get(key) ?? 0) + 1);
    }
  }
  return {
    title: text(document.querySelector("h1")),
    period: text(document.querySelector("#period")),
    status: document.querySelector("#status").textContent,
    notice: text(document.querySelector("#notice")),
    report: text(document.querySelector("#report")),
    controls: !document.querySelector("#controls").hidden,
    choices: Object.fromEntries(all("select").map((select) => [select.id, { value: select.value, options: [...select.options].map((option) => option.value) }])),
    cards: Object.fromEntries(all(".card").map((card) => [text(card.querySelector("dt")), { ...figure(card.querySelector(".figure")), note: text(card.querySelector(".soft")) }])),
    comparison: figure(document.querySelector(".comparison")),
    limits: all(".limit").map((limit) => ({
      name: text(limit.querySelector("p")),
      told: limit.querySelector(".meter").getAttribute("aria-valuetext"),
      values: all("data", limit).map((data) => data.value),
      badge: text(limit.querySelector(".badge")),
    })),
    forecast: figure(document.querySelector(".forecast")),
    groups: all(".groups li").map((item) => ({ name: text(item.querySelector(".name")), ...figure(item.querySelector(".value")) })),
    table: table(document.querySelector("section.table table")),
    days: table(document.querySelector("section.trend table")),
    chart: document.querySelector("[aria-roledescription=chart]")?.getAttribute("aria-label"),
    // How much of the canvas is of each series' colour.
    painted: series.map((name) => painted.get(color(name).join(",")) ?? 0),
    contrasts: Object.fromEntries([...series, "--edge", "--warn", "--bad"].map((name) => [name, contrast(name, "--page")])),
    background: getComputedStyle(document.body).backgroundColor,
    scheme: getComputedStyle(document.documentElement).colorScheme,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    focused: document.activeElement?.id || document.activeElement?.textContent?.slice(0, 40),
  };
}
