import { CATALOGUE, type ErrorCode } from "./catalogue.ts";
import type { RetryClass } from "./descriptor.ts";

export type ErrorArguments = Readonly<Record<string, string | number | bigint | boolean | undefined>>;

const render = (template: string, args: ErrorArguments): string =>
  template.replace(/\{(\w+)\}/g, (whole, name: string) => (args[name] === undefined ? whole : String(args[name])));

/**
 * The one error of this code base: it carries a code of the catalogue, and through it a cause, a fix and a retry class.
 * Compare codes, never texts.
 */
export class CodedError extends Error {
  readonly code: ErrorCode;
  readonly args: ErrorArguments;

  constructor(code: ErrorCode, args: ErrorArguments = {}, options?: { readonly cause?: unknown }) {
    super(render(CATALOGUE[code].message, args), options);
    this.name = "CodedError";
    this.code = code;
    this.args = args;
  }

  get fix(): string {
    return render(CATALOGUE[this.code].fix, this.args);
  }

  get retry(): RetryClass {
    return CATALOGUE[this.code].retry;
  }

  /** Anything thrown, as a coded error: unknown throws become `SVC-1000` with the original kept as `cause`. */
  static from(thrown: unknown): CodedError {
    if (thrown instanceof CodedError) return thrown;
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    return new CodedError("SVC-1000", { reason }, { cause: thrown });
  }

  /** Plain data for logs, journals and `--json`. */
  toJSON(): { code: ErrorCode; message: string; fix: string; retry: RetryClass } {
    return { code: this.code, message: this.message, fix: this.fix, retry: this.retry };
  }
}

export const hasCode = (thrown: unknown, code: ErrorCode): boolean => thrown instanceof CodedError && thrown.code === code;
