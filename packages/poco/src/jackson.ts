/** A number of a JSON text, as it was written. */
export class JsonNumber {
  readonly source: string;
  constructor(source: string) {
    this.source = source;
  }
}

/** Where the first object of the text ends, or undefined when the text does not begin with one that ends. */
function endOfObject(text: string, start: number): number | undefined {
  let depth = 0;
  let inString = false;
  for (let at = start; at < text.length; at += 1) {
    const char = text[at];
    if (inString) {
      if (char === "\\") at += 1;
      else if (char === '"') inString = false;
    } else if (char === '"') inString = true;
    else if (char === "{" || char === "[") depth += 1;
    else if (char === "}" || char === "]") {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return undefined;
}

const keepNumbers = (_key: string, value: unknown, context?: { readonly source?: string }): unknown =>
  typeof value === "number" ? new JsonNumber(context?.source ?? String(value)) : value;

/**
 * The JSON object a text begins with, as the Java peers read it: white space before it and anything after it are ignored.
 *
 * @returns the members, or undefined when there is no such object
 * @source Jackson ObjectMapper.readValue with its defaults; compute.md 1.7
 */
export function readJacksonObject(text: string): ReadonlyMap<string, unknown> | undefined {
  const start = text.search(/[^ \t\r\n]/);
  if (start < 0 || text[start] !== "{") return undefined;
  const end = endOfObject(text, start);
  if (end === undefined) return undefined;
  try {
    const parsed: unknown = JSON.parse(text.slice(start, end), keepNumbers);
    return typeof parsed === "object" && parsed !== null ? new Map(Object.entries(parsed)) : undefined;
  } catch {
    return undefined;
  }
}

/** Thrown by the coercions below when Java would refuse the value; never leaves this package. */
export class JacksonMismatch extends Error {}

/**
 * A value where Java wants a string: numbers and booleans are taken as they are written, `null` stays.
 *
 * @throws JacksonMismatch for an object or an array
 */
export function jacksonString(value: unknown): string | null {
  if (value === null || typeof value === "string") return value;
  if (typeof value === "boolean") return String(value);
  if (value instanceof JsonNumber) return value.source;
  throw new JacksonMismatch("not a string");
}

const BOOLEAN_TEXTS: ReadonlyMap<string, boolean> = new Map([
  ["true", true],
  ["True", true],
  ["TRUE", true],
  ["false", false],
  ["False", false],
  ["FALSE", false],
  ["", false],
]);

/**
 * A value where Java wants a boolean: the texts "true" and "false", whole numbers (0 is false), and `null` as false.
 *
 * @throws JacksonMismatch for anything else
 */
export function jacksonBoolean(value: unknown): boolean {
  if (typeof value === "boolean") return value;
  if (value === null) return false;
  if (value instanceof JsonNumber && /^-?[0-9]+$/.test(value.source)) return !/^-?0+$/.test(value.source);
  const known = typeof value === "string" ? BOOLEAN_TEXTS.get(value.trim()) : undefined;
  if (known === undefined) throw new JacksonMismatch("not a boolean");
  return known;
}
