import { expect, test } from "vitest";
import { runResultProxy } from "./main.ts";

async function run(argv: string[], env: Record<string, string> = {}) {
  const said = { out: "", err: "" };
  const write = (to: "out" | "err") => (text: string) => {
    said[to] += text;
  };
  const exit = await runResultProxy(argv, { NODE_ENV: "test", ...env }, { out: write("out"), err: write("err") });
  return { exit, ...said };
}

test("--help lists the settings", async () => {
  const { exit, out, err } = await run(["--help"]);
  expect([exit, err]).toEqual([0, ""]);
  expect(out).toContain("--gateway-port");
});

test("wrong settings end with code 2 and name them all, without the secrets", async () => {
  const { exit, err } = await run(["--port", "none"], {
    IEXEC_RESULT_PROXY_JWT_KEY: "short-secret",
    DATABASE_URL: "postgres://u:p4ssword@h/d",
  });
  expect(exit).toBe(2);
  expect(err).toContain("SVC-1101");
  expect(err).toContain("--port");
  expect(err).toContain("IEXEC_HUB_ADDRESS");
  expect(err).not.toContain("short-secret");
  expect(err).not.toContain("p4ssword");
});
