export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
  readonly align?: "right";
  /** Longest text shown at a terminal; longer ones lose their middle. */
  readonly max?: number;
}

/** Escape sequences take no room; characters beyond the basic plane take one column here. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what is looked for
const STYLING = /\u001b\[[0-9;]*m/g;

/** Columns a text takes at a terminal. */
export const widthOf = (text: string): number => [...text.replace(STYLING, "")].length;

/** Shortens in the middle: both ends of an address tell it from others. */
export function shorten(text: string, max: number): string {
  const characters = [...text];
  if (characters.length <= max || max < 5) return text;
  const tail = Math.floor((max - 2) / 2);
  return `${characters.slice(0, max - 2 - tail).join("")}..${characters.slice(-tail).join("")}`;
}

/** Control characters, which a stranger's text may hold, would move the cursor or change the title of the terminal. */
export const printable = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is replaced
  text.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, "\ufffd");

/**
 * Rows as aligned text for a terminal, or separated by tabs, whole and without a header, for a pipe.
 */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], style: { readonly plain: boolean }): string {
  if (style.plain) {
    const cell = (text: string) => text.replace(STYLING, "").replace(/[\t\n]/g, " ");
    return rows.map((row) => columns.map((column) => cell(column.value(row))).join("\t")).join("\n");
  }
  const cells = rows.map((row) => columns.map(({ value, max }) => (max === undefined ? value(row) : shorten(value(row), max))));
  const widths = columns.map(({ title }, index) => Math.max(widthOf(title), ...cells.map((line) => widthOf(line[index] ?? ""))));
  const line = (texts: readonly string[]) =>
    columns
      .map(({ align }, index) => {
        const text = texts[index] ?? "";
        const room = " ".repeat(Math.max((widths[index] ?? 0) - widthOf(text), 0));
        return align === "right" ? room + text : text + room;
      })
      .join("  ")
      .trimEnd();
  return [columns.map(({ title }) => title), ...cells].map((texts) => ` ${line(texts)}`).join("\n");
}
