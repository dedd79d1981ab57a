import { inspect } from "node:util";

const SHOWN = "[redacted]";

/** A value that never prints: not in logs, JSON, templates, errors or the debugger's console. Only `reveal()` gives it back. */
export class Redacted<T> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  /** The secret itself. Call it where it is used, and keep the result no longer than that. */
  reveal(): T {
    return this.#value;
  }

  toString(): string {
    return SHOWN;
  }

  toJSON(): string {
    return SHOWN;
  }

  [inspect.custom](): string {
    return SHOWN;
  }

  [Symbol.toPrimitive](): string {
    return SHOWN;
  }
}
