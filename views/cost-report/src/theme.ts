import type { McpUiHostContext } from "@modelcontextprotocol/ext-apps";

const VARIABLE = /^--(color|font|border|shadow)-[a-z0-9-]+$/;

/**
 * Takes on the host's theme and style variables, and gives way to what lies over the page. A host's fonts are not fetched, for
 * the page has no network; its --font-sans is used where the reader has that font.
 */
export function wear(context: McpUiHostContext): void {
  const root = document.documentElement;
  if (context.theme === "light" || context.theme === "dark") {
    root.dataset.theme = context.theme;
    root.style.colorScheme = context.theme;
  }
  const variables = Object.entries(context.styles?.variables ?? {}).filter(([name]) => VARIABLE.test(name));
  const names = new Set(variables.map(([name]) => name));
  // A host's ink on our paper, or ours on its, might not be readable.
  const hasColors = names.has("--color-background-primary") && names.has("--color-text-primary");
  for (const [name, value] of variables) {
    if (typeof value === "string" && (hasColors || !name.startsWith("--color-"))) root.style.setProperty(name, value);
  }
  const insets = context.safeAreaInsets;
  if (insets) {
    const { top, right, bottom, left } = insets;
    document.body.style.padding = [top, right, bottom, left].map((side) => `${Number(side) || 0}px`).join(" ");
  }
}

/** Colours of series, told apart in either theme and by contrast of 3:1 at least against the page. */
export const SERIES = 6;

/** A variable of the style sheet, as a colour that a canvas takes. */
export function color(name: string): string {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}
