import type { TaskOrder } from "@iexec-ts/network";
import type { Lane, Runtime } from "./lane.ts";
import { type End, textOf, type Variant } from "./ordeal.ts";

/** The task is COMPLETED with a result that `look` accepts. */
export const completed =
  (look: (end: End, lane: Lane) => Promise<string> | string) =>
  async (end: End, lane: Lane): Promise<string> => {
    if (end.last !== "COMPLETED" || end.reason !== "") throw new Error("it did not complete");
    return `COMPLETED, ${await look(end, lane)}`;
  };

/** The result is exactly this text. */
export const saying = (expected: string) =>
  completed((end) => {
    const text = textOf(end, "result.txt");
    if (text !== expected) throw new Error(`the result is ${JSON.stringify(text.slice(0, 300))}, not ${JSON.stringify(expected)}`);
    return JSON.stringify(expected.trim().slice(0, 60));
  });

/** Lines `name: done` or `name: denied` of the result, all denied but those of `allowed`, which docs/security.md speaks of. */
export const denied = (allowed: Readonly<Partial<Record<Runtime, readonly string[]>>> = {}) =>
  completed((end, { runtime }) => {
    const lines = textOf(end, "result.txt").trim().split("\n");
    const done = lines.filter((line) => line.endsWith(": done")).map((line) => line.slice(0, -": done".length));
    const harmless = allowed[runtime] ?? [];
    const wrong = done.filter((name) => !harmless.includes(name));
    if (wrong.length > 0) throw new Error(`not denied: ${wrong.join(", ")}`);
    return `${lines.length - done.length} attempts denied${done.length > 0 ? `, let through (docs/security.md): ${done.join(", ")}` : ""}`;
  });

/** The computation failed with one of these causes and coded reasons. */
export const failed =
  (codes: readonly string[], causes: readonly string[] = ["APP_COMPUTE_FAILED"], look: (end: End) => void = () => undefined) =>
  (end: End): string => {
    if (!end.statuses.includes("COMPUTE_FAILED") || end.last !== "FAILED") throw new Error("it did not fail");
    const code = codes.find((known) => end.reason.startsWith(known));
    if (code === undefined) throw new Error(`its reason is none of ${codes.join(", ")}`);
    if (!causes.includes(end.cause ?? "")) throw new Error(`its cause is none of ${causes.join(", ")}`);
    look(end);
    return `${end.cause} ${code}`;
  };

/** The first of these that fits. */
export const either =
  (...checks: readonly Variant["check"][]) =>
  async (end: End, lane: Lane): Promise<string> => {
    const faults: string[] = [];
    for (const check of checks) {
      try {
        return await check(end, lane);
      } catch (thrown) {
        faults.push(thrown instanceof Error ? thrown.message : String(thrown));
      }
    }
    throw new Error(faults.join(", and "));
  };

/** One check per runtime, where they differ. */
export const perRuntime =
  (checks: Readonly<Record<Runtime, Variant["check"]>>) =>
  (end: End, lane: Lane): Promise<string> | string =>
    checks[lane.runtime](end, lane);

/** A variant that is a script for the shell image. */
export const script = (name: string, text: string, check: Variant["check"], order: Omit<TaskOrder, "args"> = {}): Variant => ({
  name,
  buy: (lane) => lane.buyScript(text, order),
  check,
});

/** As `script`, in the category of a few seconds. */
export const timed = (name: string, text: string, check: Variant["check"]): Variant => ({
  name,
  buy: (lane) => lane.buyScript(text, { category: lane.shortCategory }),
  check,
});
