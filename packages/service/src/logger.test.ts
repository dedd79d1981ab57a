import { expect, test } from "vitest";
import { CodedError } from "./errors/coded-error.ts";
import { createLogger, type LoggerOptions } from "./logger.ts";
import { Redacted } from "./redacted.ts";

function capture(options: Partial<LoggerOptions> = {}) {
  const lines: string[] = [];
  const log = createLogger({ level: "info", destination: { write: (line) => void lines.push(line) }, ...options });
  return { log, lines, records: () => lines.map((line): unknown => JSON.parse(line)) };
}

test("writes one JSON object per line with word level, ISO time, message and members", () => {
  const { log, records } = capture();
  log.child({ taskId: "0x11" }).info("contribution mined", { block: 12n, amount: 2n ** 80n });
  expect(records()).toEqual([
    {
      level: "info",
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      taskId: "0x11",
      block: "12",
      amount: "1208925819614629174706176",
      msg: "contribution mined",
    },
  ]);
});

test("says nothing below its level, until the level changes", () => {
  const { log, lines } = capture({ level: "warn" });
  log.info("quiet");
  expect(lines).toEqual([]);
  log.setLevel("debug");
  log.debug("loud");
  expect(lines).toHaveLength(1);
});

test("secrets do not print, neither wrapped nor by name", () => {
  const { log, lines } = capture({ redact: ["body.pin"] });
  log.info("login", {
    wrapped: new Redacted("hunter2"),
    password: "hunter2",
    headers: { authorization: "hunter2" },
    body: { pin: "hunter2" },
  });
  log.error("failed", { error: new CodedError("SVC-1302", { path: "w.json" }, { cause: new Redacted("hunter2") }) });
  expect(lines.join("")).not.toContain("hunter2");
});

test("errors carry code, fix and cause; the stack only at debug", () => {
  const error = new CodedError("SVC-1302", { path: "w.json" }, { cause: new TypeError("inner") });
  const quiet = capture();
  quiet.log.error("failed", { error });
  expect(quiet.records()[0]).toMatchObject({
    error: { code: "SVC-1302", fix: expect.any(String), cause: { type: "TypeError", message: "inner" } },
  });
  expect(quiet.lines[0]).not.toContain("stack");
  const loud = capture({ level: "debug" });
  loud.log.error("failed", { error });
  expect(loud.lines[0]).toContain("stack");
});

test("pretty is text for people, on one destination", () => {
  const { log, lines } = capture({ pretty: true });
  log.warn("low on gas", { left: 3n });
  expect(lines.join("")).toContain("low on gas");
  expect(() => JSON.parse(lines[0] ?? "")).toThrow(SyntaxError);
});
