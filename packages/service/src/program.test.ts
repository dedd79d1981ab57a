import { describe, expect, test } from "vitest";
import { defineConfig } from "./config/define.ts";
import { asChoice, asDurationMs, asPort } from "./config/schemas.ts";
import { setting } from "./config/setting.ts";
import { CodedError } from "./errors/coded-error.ts";
import { exitCodeOf, runService } from "./program.ts";

const definition = defineConfig({
  name: "sample",
  settings: {
    port: setting({ env: ["SAMPLE_PORT"], flag: "--port", doc: "Port it listens on here.", reload: "restart", schema: asPort() }),
    logLevel: setting({
      env: ["SAMPLE_LOG"],
      flag: "--log-level",
      doc: "How much it logs here.",
      reload: "restart",
      schema: asChoice(["silent"]).default("silent"),
    }),
    graceMs: setting({
      env: ["SAMPLE_GRACE"],
      flag: "--grace",
      unit: "ms",
      doc: "How long it may take to stop.",
      reload: "restart",
      schema: asDurationMs().default(1_000),
    }),
  },
});

async function run(argv: string[], main: Parameters<typeof runService<(typeof definition)["settings"]>>[2]) {
  const said = { out: "", err: "" };
  const write = (to: "out" | "err") => (text: string) => {
    said[to] += text;
  };
  const exit = await runService(
    { definition, version: "1.2.3" },
    { argv, env: {}, output: { out: write("out"), err: write("err") } },
    main,
  );
  return { exit, ...said };
}
const never = () => Promise.reject(new Error("not to be started"));

describe("a program", () => {
  test("answers --help and --version without starting", async () => {
    expect(await run(["--version"], never)).toEqual({ exit: 0, out: "1.2.3\n", err: "" });
    expect(await run(["--help"], never)).toMatchObject({ exit: 0, err: "" });
  });

  test("ends with 2 and every fault when its settings are wrong", async () => {
    const { exit, err } = await run(["--port", "none"], never);
    expect(exit).toBe(2);
    expect(err).toContain("SVC-1101");
  });

  test("closes what was started, whether it ends, fails or returns a reason", async () => {
    const closed: string[] = [];
    const start = (name: string, result: () => Promise<CodedError | undefined>): Parameters<typeof run>[1] => {
      return async ({ shutdown }) => {
        shutdown.add(name, () => void closed.push(name));
        return result();
      };
    };
    expect(
      (
        await run(
          ["--port", "1"],
          start("a", async () => undefined),
        )
      ).exit,
    ).toBe(0);
    expect(
      (
        await run(
          ["--port", "1"],
          start("b", async () => new CodedError("SVC-1201", { port: 1, host: "x", setting: "y" })),
        )
      ).exit,
    ).toBe(3);
    expect(
      (
        await run(
          ["--port", "1"],
          start("c", async () => Promise.reject(new Error("broken"))),
        )
      ).exit,
    ).toBe(1);
    expect(closed).toEqual(["a", "b", "c"]);
  });

  test("told to stop while it starts, it ends in order", async () => {
    const { exit, err } = await run(["--port", "1"], async ({ shutdown }) => {
      void shutdown.request("SIGTERM");
      shutdown.signal.throwIfAborted();
      return undefined;
    });
    expect([exit, err]).toEqual([0, ""]);
  });
});

test("exit codes follow the retry class", () => {
  expect(exitCodeOf(new CodedError("SVC-1000", { reason: "x" }))).toBe(1);
  expect(exitCodeOf(new CodedError("WRK-1002", { cpus: 1 }))).toBe(3);
  expect(exitCodeOf(new CodedError("NET-2003", { socket: "x", reason: "y" }))).toBe(4);
});

describe("a program that hangs", () => {
  const hanging = () => new Promise<never>(() => undefined);

  test("in a closing step ends all the same, after its grace", async () => {
    const { exit } = await run(["--port", "1", "--grace", "20ms"], async ({ shutdown }) => {
      shutdown.add("hangs", hanging);
      void shutdown.request("SIGTERM");
      await shutdown.done;
      return undefined;
    });
    expect(exit).toBe(0);
  });

  test("in its start ends all the same when it is told to stop", async () => {
    const { exit } = await run(["--port", "1", "--grace", "20ms"], ({ shutdown }) => {
      void shutdown.request("SIGTERM");
      return hanging();
    });
    expect(exit).toBe(0);
  });

  test("in its start, told twice, does not wait for the end of its grace", async () => {
    const { exit } = await run(["--port", "1", "--grace", "1h"], ({ shutdown }) => {
      shutdown.add("hangs", hanging);
      void shutdown.request("SIGTERM");
      void shutdown.request("SIGTERM");
      return hanging();
    });
    expect(exit).toBe(0);
  });

  test("a start that fails because it was told to stop does not cut the steps short", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const seen: string[] = [];
    const { exit } = await run(["--port", "1", "--grace", "1h"], async ({ shutdown }) => {
      shutdown.add("slow", async () => {
        await promise;
        seen.push("closed");
      });
      void shutdown.request("SIGTERM");
      setTimeout(resolve, 20);
      throw new Error("told to stop");
    });
    expect(exit).toBe(0);
    expect(seen).toEqual(["closed"]);
  });
});
