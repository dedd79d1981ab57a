import { CodedError } from "@iexec-ts/service";
import { expect, test } from "vitest";
import { weaknesses } from "./engine-report.ts";
import { chooseRuntimes } from "./runtimes.ts";

const info = (runtimes: Record<string, string[]>) => ({
  DefaultRuntime: "runc",
  Runtimes: {
    runc: { runtimeArgs: [] },
    ...Object.fromEntries(Object.entries(runtimes).map(([name, runtimeArgs]) => [name, { runtimeArgs }])),
  },
});
const both = info({ runsc: ["--platform=ptrace", "--network=none"], "runsc-hostnet": ["--network=host"] });

test("auto takes gVisor where it is registered, with a network where it has one", () => {
  expect(chooseRuntimes("auto", both)).toEqual({ none: "runsc", isolated: "runsc-hostnet" });
  expect(chooseRuntimes("auto", info({ runsc: [] }))).toEqual({ none: "runsc", isolated: "runsc" });
  expect(chooseRuntimes("auto", info({}))).toEqual({ none: "runc", isolated: "runc" });
});

test("gVisor without a network never takes an app that may use one: auto falls back, runsc has no answer", () => {
  const offline = info({ runsc: ["--network=none"] });
  expect(chooseRuntimes("auto", offline)).toEqual({ none: "runsc", isolated: "runc" });
  expect(chooseRuntimes("runsc", offline)).toEqual({ none: "runsc", isolated: undefined });
});

test("a runtime that failed its probe is left out by auto only", () => {
  expect(chooseRuntimes("auto", both, new Set(["runsc", "runsc-hostnet"]))).toEqual({ none: "runc", isolated: "runc" });
  expect(chooseRuntimes("runsc", both, new Set(["runsc"]))).toEqual({ none: "runsc", isolated: "runsc-hostnet" });
});

test("a runtime that is asked for by name must be there", () => {
  const thrown = (() => {
    try {
      return chooseRuntimes("runsc", info({}));
    } catch (error) {
      return error;
    }
  })();
  expect(thrown instanceof CodedError && thrown.code).toBe("SBX-1005");
});

test.each<[string, string, number]>([
  ["20.10.24+dfsg1", "runc", 1],
  ["25.0.0", "runc", 0],
  ["28.2.2", "runc", 0],
  ["20.10.24", "runsc", 0],
  ["unknown", "runc", 0],
])("io_uring is let through by %s under %s: %d", (version, runtime, count) => {
  expect(weaknesses(version, runtime)).toHaveLength(count);
});
