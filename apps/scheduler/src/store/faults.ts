import { CodedError } from "@iexec-ts/service";

const CONFLICTS: ReadonlySet<string> = new Set(["40001", "40P01"]);
/** Statement cancelled by its limit, lock not given in time, transaction left idle. */
const TOO_LATE: ReadonlySet<string> = new Set(["57014", "55P03", "25P03"]);
/** Connection lost, server out of room, server stopping or starting. */
const AWAY = /^(08|53|57P)/;

/** The code that Postgres or the system gave, or undefined. */
export const codeOf = (thrown: unknown): string | undefined =>
  thrown instanceof Error && "code" in thrown && typeof thrown.code === "string" && !(thrown instanceof CodedError)
    ? thrown.code
    : undefined;

export const isConflict = (thrown: unknown): boolean => CONFLICTS.has(codeOf(thrown) ?? "");

export const unreachable = (thrown: unknown): CodedError =>
  new CodedError("SCH-1101", { reason: thrown instanceof Error ? (codeOf(thrown) ?? thrown.name) : "unknown" }, { cause: thrown });

/** Trouble of the connection or of time gets a code of ours; what Postgres says about a statement stays as it is. */
export function whatPostgresSaid(thrown: unknown): unknown {
  if (!(thrown instanceof Error) || thrown instanceof CodedError || thrown instanceof DOMException) return thrown;
  const code = codeOf(thrown);
  // Also an answer that did not come in time: the driver gives no code then.
  if (code === undefined) return new CodedError("SCH-1101", { reason: thrown.message }, { cause: thrown });
  if (TOO_LATE.has(code)) return new CodedError("SCH-1104", { reason: code }, { cause: thrown });
  return AWAY.test(code) || code.startsWith("E") ? unreachable(thrown) : thrown;
}
