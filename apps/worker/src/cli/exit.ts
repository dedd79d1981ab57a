import type { CodedError, ErrorCode } from "@iexec-ts/service";
import { EXIT, type ExitCode } from "./report.ts";

const USAGE: readonly ErrorCode[] = ["SVC-1101", "SVC-1103", "WRK-2002", "WRK-2005", "WRK-2011", "WRK-2012"];
const REFUSED: readonly ErrorCode[] = ["WRK-1520", "WRK-1521", "WRK-2008"];
const FAILED: readonly ErrorCode[] = ["WRK-2004", "WRK-2010", "WRK-2013"];

/** @source operator-experience.md 4.3 item 6 */
export function exitCodeFor(error: CodedError): ExitCode {
  if (USAGE.includes(error.code)) return EXIT.usage;
  if (REFUSED.includes(error.code)) return EXIT.refused;
  if (FAILED.includes(error.code)) return EXIT.failed;
  if (error.retry === "operator") return EXIT.operator;
  return error.retry === "retry" || error.retry === "environment" ? EXIT.temporary : EXIT.failed;
}
