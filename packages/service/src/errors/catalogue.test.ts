import { expect, test } from "vitest";
import { CATALOGUE } from "./catalogue.ts";
import { CHAIN_ERRORS } from "./chain.ts";
import { CodedError, hasCode } from "./coded-error.ts";
import { CONTROL_ERRORS } from "./control.ts";
import type { ErrorDescriptor } from "./descriptor.ts";
import { NETWORK_ERRORS } from "./network.ts";
import { OPERATOR_ERRORS } from "./operator.ts";
import { PAGE_ERRORS } from "./page.ts";
import { PAYLOAD_ERRORS } from "./payload.ts";
import { PROXY_ERRORS } from "./proxy.ts";
import { SANDBOX_ERRORS } from "./sandbox.ts";
import { SCHEDULER_ERRORS } from "./scheduler.ts";
import { SERVICE_ERRORS } from "./service.ts";
import { UPDATE_ERRORS } from "./update.ts";
import { WIRE_ERRORS } from "./wire.ts";
import { WORKER_ERRORS } from "./worker.ts";

const AREAS: Readonly<Record<string, Readonly<Record<string, ErrorDescriptor>>>> = {
  SERVICE_ERRORS,
  CHAIN_ERRORS,
  WIRE_ERRORS,
  SANDBOX_ERRORS,
  PAYLOAD_ERRORS,
  WORKER_ERRORS,
  CONTROL_ERRORS,
  OPERATOR_ERRORS,
  UPDATE_ERRORS,
  PAGE_ERRORS,
  SCHEDULER_ERRORS,
  PROXY_ERRORS,
  NETWORK_ERRORS,
};

test.each(Object.entries(CATALOGUE))("%s has message, cause and fix", (code, descriptor: ErrorDescriptor) => {
  expect(code).toMatch(/^[A-Z]{3}-\d{4}$/);
  for (const text of [descriptor.message, descriptor.cause, descriptor.fix]) {
    expect(text.trim()).toBe(text);
    expect(text.length).toBeGreaterThan(8);
  }
});

test("no two areas use one code", () => {
  const codes = Object.values(AREAS).flatMap((area) => Object.keys(area));
  expect(new Set(codes).size).toBe(codes.length);
  expect(Object.keys(CATALOGUE).sort()).toEqual(codes.sort());
});

test("an area keeps to its own letters", () => {
  for (const [area, errors] of Object.entries(AREAS)) {
    expect(new Set(Object.keys(errors).map((code) => code.slice(0, 3))).size, area).toBeLessThanOrEqual(1);
  }
});

test("arguments fill the message and the fix; unknown throws keep their cause", () => {
  const error = new CodedError("SVC-1201", { host: "h", port: 1, setting: "--port" });
  expect(error.message).toContain("1");
  expect(error.fix).toContain("--port");
  expect(CodedError.from(error)).toBe(error);
  const cause = new TypeError("boom");
  expect(CodedError.from(cause)).toMatchObject({ code: "SVC-1000", cause });
  expect(hasCode(CodedError.from("text"), "SVC-1000")).toBe(true);
  expect(hasCode(cause, "SVC-1000")).toBe(false);
});
