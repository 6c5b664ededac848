type Attributes = Record<string, string | number | boolean | undefined | ((event: any) => void)>;
export type Child = Node | string | undefined | false;

/** An element. Text is only ever text: what the tool tells is never read as HTML. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== undefined && value !== false) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child): child is Node | string => child !== undefined && child !== false));
  return element;
}

export function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no ${id}`);
  return found;
}

/** A width in percent, set in a way that no policy on styles forbids. */
export function wide<T extends HTMLElement>(element: T, share: number): T {
  element.style.width = `${Math.max(0, Math.min(100, share * 100))}%`;
  return element;
}

/** Puts one part of the page in place of another, and leaves the focus where it was. */
export function replace(old: Element, by: Element): void {
  const stops = (part: Element) => [...part.querySelectorAll<HTMLElement>("[tabindex], button, summary, select, input")];
  const at = stops(old).indexOf(document.activeElement as HTMLElement);
  old.replaceWith(by);
  stops(by)[at]?.focus();
}

/** A table that scrolls by itself where it is too wide, by keyboard too. */
export function scrolling(name: string, table: HTMLTableElement): HTMLElement {
  return h("div", { class: "scrolling", role: "region", "aria-label": name, tabindex: 0 }, table);
}
