import { expect, test } from "vitest";
import { countErrors } from "./count-errors.ts";
import { CodedError } from "./errors/coded-error.ts";
import { createLogger } from "./logger.ts";
import { createMetrics } from "./metrics.ts";

const counts = async (metrics: ReturnType<typeof createMetrics>): Promise<readonly string[]> =>
  (await metrics.text()).split("\n").filter((line) => line.startsWith("iexec_errors_total{"));

test("what is said as a warning or an error is counted by code, also by children and below the printed level; the rest is not", async () => {
  const metrics = createMetrics("test_");
  const lines: string[] = [];
  const logger = countErrors(createLogger({ level: "error", destination: { write: (line) => void lines.push(line) } }), metrics);
  logger.warn("a", { error: new CodedError("SBX-1006") });
  logger.child({ part: "x" }).error("b", { error: new CodedError("SBX-1006") });
  logger.error("c", { error: new TypeError("no code") });
  logger.debug("d", { error: new CodedError("SBX-1006") });
  logger.warn("e", { reason: "no error" });
  expect(await counts(metrics)).toEqual(['iexec_errors_total{code="SBX-1006"} 2', 'iexec_errors_total{code="SVC-1000"} 1']);
  expect(lines).toHaveLength(2);
});

test("one error that several layers pass on counts once", async () => {
  const metrics = createMetrics("test_");
  const logger = countErrors(createLogger({ level: "silent" }), metrics);
  const thrown = new TypeError("no code");
  const error = metrics.countError(thrown);
  logger.error("again", { error });
  logger.error("and again", { error: thrown });
  expect(await counts(metrics)).toEqual(['iexec_errors_total{code="SVC-1000"} 1']);
});
