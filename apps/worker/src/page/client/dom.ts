import { exact, relative, span } from "../../cli/view/time.ts";
import type { Mark } from "../model.ts";

export type Child = Node | string | undefined;

/** An element with attributes and children. Texts become text, whatever they hold: nothing here is ever read as HTML. */
export function el(tag: string, attributes: Readonly<Record<string, string>> = {}, ...children: readonly Child[]): HTMLElement {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

/** Each level has its own shape and word; colour only repeats them. */
const MARKS: Readonly<Record<Mark, readonly [string, string]>> = {
  ok: ["✓", "OK"],
  note: ["–", "Note"],
  warn: ["!", "Look"],
  bad: ["✕", "Act"],
};

export function mark(level: Mark, word?: string): HTMLElement {
  const [shape, usual] = MARKS[level];
  return el("span", { class: `mark ${level}` }, el("span", { "aria-hidden": "true" }, `${shape} `), word ?? usual);
}

/** An instant, shown relative to now and kept so by `tick`; the exact one is in its title. */
export function time(iso: string): HTMLElement {
  const at = new Date(iso);
  return el("time", { datetime: iso, title: exact(at) }, relative(at, now()));
}

/** How long it has been since an instant: `1m 30s`. */
export function age(iso: string): HTMLElement {
  const at = new Date(iso);
  return el("time", { datetime: iso, title: `since ${exact(at)}`, "data-as": "age" }, ageOf(at));
}

const ageOf = (at: Date): string => span(now().getTime() - at.getTime());

/** The worker's clock, which may differ from this browser's. */
let ahead = 0;
export const now = (): Date => new Date(Date.now() + ahead);
export function setNow(iso: string): void {
  ahead = new Date(iso).getTime() - Date.now();
}

/** Brings every relative time up to date. */
export function tick(): void {
  for (const shown of document.querySelectorAll("time")) {
    const at = new Date(shown.dateTime);
    const text = shown.dataset.as === "age" ? ageOf(at) : relative(at, now());
    if (shown.textContent !== text) shown.textContent = text;
  }
}

/** Both ends of an id or address tell it from others; the whole is in the title and can be copied. */
export function short(id: string, tail = 6): HTMLElement {
  const text = id.length > tail + 8 ? `${id.slice(0, 6)}…${id.slice(-tail)}` : id;
  return el("code", { title: id }, text);
}

/** A button that copies a text; where the browser does not allow it, it is not there. */
export function copy(text: string, what: string): HTMLElement | undefined {
  if (navigator.clipboard === undefined) return undefined;
  const button = el("button", { type: "button", "aria-label": `Copy ${what}`, "data-key": `copy ${text}` }, "Copy");
  button.addEventListener("click", () => {
    navigator.clipboard.writeText(text).then(
      () => {
        button.textContent = "Copied";
      },
      () => {
        button.textContent = "Not allowed";
      },
    );
  });
  return button;
}

/** A command to run in a terminal. Advice that is no command is shown as text. */
export function command(text: string): HTMLElement {
  if (!text.startsWith("iexec-worker ")) return el("p", {}, `→ ${text}`);
  return el("p", { class: "command" }, "→", el("code", {}, text), copy(text, "this command"));
}

export const list = (pairs: readonly (readonly [string, Child | readonly Child[], string?])[]): HTMLElement =>
  el(
    "dl",
    {},
    ...pairs.flatMap(([name, value, style]) => [
      el("dt", {}, name),
      el("dd", style === undefined ? {} : { class: style }, ...(Array.isArray(value) ? value : [value])),
    ]),
  );

/** Puts new content in place; the reader's focus stays on what it was on. */
export function fill(target: Element, ...children: readonly Child[]): void {
  const focused = document.activeElement;
  const key = focused instanceof HTMLElement && target.contains(focused) ? focused.dataset.key : undefined;
  target.replaceChildren(...children.filter((child) => child !== undefined));
  if (key === undefined) return;
  for (const candidate of target.querySelectorAll<HTMLElement>("[data-key]")) if (candidate.dataset.key === key) candidate.focus();
}

export function part(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no ${id}`);
  return found;
}
