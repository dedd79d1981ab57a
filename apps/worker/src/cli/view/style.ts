import { styleText } from "node:util";

/** Each level has its own shape, word and colour: colour is never alone. */
const MARKS = {
  ok: ["ok", "green"],
  note: ["-", "cyan"],
  warn: ["!", "yellow"],
  bad: ["x", "red"],
  skip: ["~", "gray"],
} as const;

export type Level = keyof typeof MARKS;

export interface Style {
  readonly colour: boolean;
  /** Whether output goes to a pipe: no headers, no colour, nothing shortened, exact dates. */
  readonly plain: boolean;
  mark(level: Level): string;
  strong(text: string): string;
  faint(text: string): string;
}

/** NO_COLOR, TERM=dumb and a pipe switch colour off. @source no-color.org: any value that is not empty */
export function styleFor(terminal: boolean, env: Readonly<Record<string, string | undefined>>): Style {
  const refused = (env.NO_COLOR !== undefined && env.NO_COLOR !== "") || env.TERM === "dumb";
  const colour = terminal && !refused;
  const paint = (format: Parameters<typeof styleText>[0], text: string) =>
    colour ? styleText(format, text, { validateStream: false }) : text;
  return {
    colour,
    plain: !terminal,
    mark: (level) => paint(MARKS[level][1], MARKS[level][0].padEnd(2)),
    strong: (text) => paint("bold", text),
    faint: (text) => paint("gray", text),
  };
}
