import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, expectTypeOf, test } from "vitest";
import { CodedError } from "../errors/coded-error.ts";
import type { Redacted } from "../redacted.ts";
import { configProblems, defineConfig } from "./define.ts";
import { guess } from "./guess.ts";
import { helpRequested, loadConfig } from "./load.ts";
import { renderHelp, renderReference } from "./render.ts";
import { asAmount, asChoice, asDurationMs, asList, asPort, asSwitch, asText, asUrl, asWholeNumber } from "./schemas.ts";
import { setting } from "./setting.ts";

const definition = defineConfig({
  name: "iexec-sample",
  settings: {
    gasPriceCap: setting({
      env: ["IEXEC_GAS_PRICE_CAP"],
      flag: "--gas-price-cap",
      unit: "wei",
      doc: "Highest price paid per gas unit; above it transactions wait.",
      reload: "live",
      schema: asAmount({ min: 1n }).default(22_000_000_000n),
    }),
    port: setting({
      env: ["IEXEC_WORKER_PORT", "SERVER_PORT"],
      flag: "--port",
      doc: "Port of the worker's own page.",
      reload: "restart",
      schema: asPort().default(13_100),
    }),
    name: setting({ env: ["IEXEC_WORKER_NAME"], flag: "--name", doc: "Name shown on dashboards.", reload: "restart", schema: asText() }),
    gpuEnabled: setting({
      env: ["IEXEC_WORKER_GPU_ENABLED"],
      flag: "--gpu-enabled",
      doc: "Whether tasks may use the GPU.",
      reload: "restart",
      schema: asSwitch().default(false),
    }),
    pools: setting({
      env: ["IEXEC_POOLS"],
      flag: "--pools",
      doc: "Pools to join, best first.",
      reload: "restart",
      schema: asList(asText()).default([]),
    }),
    password: setting({
      env: ["IEXEC_WORKER_WALLET_PASSWORD"],
      flag: "--wallet-password",
      doc: "Password of the wallet file.",
      reload: "restart",
      secret: true,
      schema: asText(),
    }),
    token: setting({
      env: ["IEXEC_TOKEN"],
      flag: "--token",
      doc: "Token of the private registry.",
      reload: "restart",
      secret: true,
      schema: asText().optional(),
    }),
  },
  rules: [({ name, gpuEnabled }) => (name === "no-gpu" && gpuEnabled ? "IEXEC_WORKER_NAME says no-gpu but the GPU is enabled" : undefined)],
});

const env = { IEXEC_WORKER_NAME: "me", IEXEC_WORKER_WALLET_PASSWORD: "pass word" };

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "config-"));
});
afterAll(() => rmSync(folder, { recursive: true }));
const file = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

function faultsOf(run: () => unknown): string {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof CodedError && thrown.code === "SVC-1101") return String(thrown.args.faults);
    throw thrown;
  }
  throw new Error("expected SVC-1101");
}

describe("precedence", () => {
  const path = () => file("all.json", '{"port": 3, "gpuEnabled": true, "pools": ["a", "b"], "gasPriceCap": "5"}');

  test("flag over environment over file over default", () => {
    const sources = { argv: ["--port=1"], env: { ...env, IEXEC_WORKER_PORT: "2" }, file: path() };
    expect(loadConfig(definition, sources).values.port).toBe(1);
    expect(loadConfig(definition, { ...sources, argv: [] }).values.port).toBe(2);
    expect(loadConfig(definition, { ...sources, argv: [], env }).values.port).toBe(3);
    expect(loadConfig(definition, { argv: [], env }).values.port).toBe(13_100);
  });

  test("each value knows where it came from", () => {
    const config = loadConfig(definition, { argv: ["--gas-price-cap", "9"], env: { ...env, SERVER_PORT: "2" }, file: path() });
    expect(config.explain("gasPriceCap")).toMatchObject({ value: "9", origin: { source: "flag", name: "--gas-price-cap" } });
    expect(config.explain("port")).toMatchObject({ value: "2", origin: { source: "env", name: "SERVER_PORT" } });
    expect(config.explain("pools")).toMatchObject({ value: "a,b", origin: { source: "file", name: "pools" } });
    expect(config.explain("token")).toMatchObject({ value: "", origin: { source: "default" } });
    expect(config.explainAll().map(({ key }) => key)).toEqual(Object.keys(definition.settings));
    expect(() => config.explain("prot")).toThrow(
      expect.objectContaining({ code: "SVC-1103", args: expect.objectContaining({ guess: "port" }) }),
    );
  });

  test("the guide's name wins over a later alias, and an empty variable counts as absent", () => {
    const aliases = { ...env, IEXEC_WORKER_PORT: "2", SERVER_PORT: "4" };
    expect(loadConfig(definition, { argv: [], env: aliases }).values.port).toBe(2);
    expect(loadConfig(definition, { argv: [], env: { ...aliases, IEXEC_WORKER_PORT: "" } }).values.port).toBe(4);
  });

  test("--config names the file, a switch needs no value, other words are positionals", () => {
    const { values, positionals } = loadConfig(definition, { argv: ["start", "--gpu-enabled", "now", "--config", path()], env });
    expect(values).toMatchObject({ gpuEnabled: true, port: 3 });
    expect(positionals).toEqual(["start", "now"]);
    expect(loadConfig(definition, { argv: ["--gpu-enabled=false", "--config", path()], env }).values.gpuEnabled).toBe(false);
  });
});

describe("faults", () => {
  test("are listed all at once", () => {
    const faults = faultsOf(() =>
      loadConfig(definition, { argv: ["--prot", "1", "--name"], env: { IEXEC_GAS_PRICE_CAP: "0.5", IEXEC_WORKER_PORT: "70000" } }),
    );
    expect(faults.split("\n")).toHaveLength(6);
    expect(faults).toContain("did you mean --port?");
    expect(faults).toContain("IEXEC_WORKER_WALLET_PASSWORD or --wallet-password-file: must be set");
  });

  test("rules between settings are checked when each setting is right", () => {
    const wrong = { ...env, IEXEC_WORKER_NAME: "no-gpu", IEXEC_WORKER_GPU_ENABLED: "yes" };
    expect(faultsOf(() => loadConfig(definition, { argv: [], env: wrong }))).toContain("no-gpu");
  });

  test.each([
    ["not JSON", "{"],
    ["not an object", "[1]"],
    ["an unknown key", '{"prot": 1}'],
    ["a nested value", '{"port": {"a": 1}}'],
    ["a secret itself", '{"password": "x"}'],
  ])("a file with %s is a fault", (_, text) => {
    const path = file("bad.json", text);
    expect(faultsOf(() => loadConfig(definition, { argv: [], env, file: path }))).toContain(path);
  });

  test("a missing or too long file is a fault", () => {
    expect(faultsOf(() => loadConfig(definition, { argv: [], env, file: join(folder, "none.json") }))).toContain("none.json");
    const long = file("long.txt", "x".repeat(70_000));
    const sources = { argv: ["--wallet-password-file", long], env };
    expect(faultsOf(() => loadConfig(definition, sources))).toContain("--wallet-password-file");
  });

  test("a name in the environment that is nearly a setting is a warning", () => {
    const { warnings } = loadConfig(definition, { argv: [], env: { ...env, IEXEC_WORKER_PROT: "1", UNRELATED: "1" } });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain("IEXEC_WORKER_PORT");
  });
});

describe("secrets", () => {
  test("come wrapped and never print", () => {
    const config = loadConfig(definition, { argv: [], env });
    const { password, token } = config.values;
    expectTypeOf(password).toEqualTypeOf<Redacted<string>>();
    expectTypeOf(token).toEqualTypeOf<Redacted<string> | undefined>();
    expect(password.reveal()).toBe("pass word");
    expect(token).toBeUndefined();
    for (const shown of [
      `${password}`,
      JSON.stringify(config.values, (_, v) => (typeof v === "bigint" ? "" : v)),
      inspect(config),
      config.explain("password").value,
    ]) {
      expect(shown).not.toContain("pass word");
    }
  });

  test("come from a file without its last line break", () => {
    const path = file("secret", "top\r\n");
    const named = { IEXEC_WORKER_NAME: "me" };
    const values = [
      { argv: ["--wallet-password-file", path], env: named },
      { argv: [], env: { ...named, IEXEC_WORKER_WALLET_PASSWORD_FILE: path } },
      { argv: [], env: named, file: file("s.json", JSON.stringify({ passwordFile: path })) },
    ].map((sources) => loadConfig(definition, sources).values.password.reveal());
    expect(values).toEqual(["top", "top", "top"]);
  });

  test("are refused as a flag's value, and are not repeated in the fault", () => {
    const faults = faultsOf(() => loadConfig(definition, { argv: ["--wallet-password=hunter2"], env }));
    expect(faults).toContain("--wallet-password-file");
    expect(faults).not.toContain("hunter2");
  });

  test("are not repeated when they break their rule", () => {
    const strict = defineConfig({
      name: "s",
      settings: {
        pin: setting({
          env: ["PIN"],
          flag: "--pin",
          doc: "Four digits to enter.",
          reload: "restart",
          secret: true,
          schema: asWholeNumber({ max: 9_999 }),
        }),
      },
    });
    expect(faultsOf(() => loadConfig(strict, { argv: [], env: { PIN: "hunter2" } }))).not.toContain("hunter2");
  });
});

describe("definition", () => {
  const good = { env: ["A_B"], flag: "--a-b", doc: "A sentence long enough.", reload: "live", schema: asText().optional() } as const;

  test.each([
    ["a flag used twice", { one: setting(good), two: setting({ ...good, env: ["C"] }) }],
    ["an environment name used twice", { one: setting(good), two: setting({ ...good, flag: "--c" }) }],
    ["a reserved flag", { one: setting({ ...good, flag: "--help" }) }],
    ["no sentence", { one: setting({ ...good, doc: "todo" }) }],
    ["a bad flag", { one: setting({ ...good, flag: "--A_b" }) }],
    ["a duration without unit", { waitMs: setting({ ...good, schema: asDurationMs().default(5) }) }],
    ["a default its rule refuses", { one: setting({ ...good, schema: asPort().default(70_000) }) }],
    ["a secret with a default", { one: setting({ ...good, secret: true, schema: asText().default("whatever") }) }],
  ])("with %s is refused", (_, settings) => {
    expect(configProblems({ settings })).not.toEqual([]);
    expect(() => defineConfig({ name: "x", settings })).toThrow(expect.objectContaining({ code: "SVC-1102" }));
  });

  test("help and reference name every flag, environment name, default and unit", () => {
    for (const text of [renderHelp(definition, { examples: ["iexec-sample --port 1"] }), renderReference(definition)]) {
      for (const { env: names, flag, unit } of Object.values(definition.settings)) {
        for (const name of names) expect(text).toContain(name);
        expect(text).toContain(flag);
        if (unit !== undefined) expect(text).toContain(unit);
      }
      expect(text).toContain("22000000000");
    }
  });

  test("help is asked for before --", () => {
    expect(helpRequested(["start", "-h"])).toBe(true);
    expect(helpRequested(["run", "--", "--help"])).toBe(false);
  });
});

describe("values", () => {
  const schemas = {
    switch: asSwitch(),
    amount: asAmount({ max: 10n ** 30n }),
    ms: asDurationMs({ maxMs: 1e9 }),
    url: asUrl(),
    whole: asWholeNumber({ min: -5, max: 5 }),
    choice: asChoice(["a", "b"]),
  };
  test.each([
    ["switch", "yes", true],
    ["switch", "0", false],
    ["amount", "123456789012345678901234567890", 123456789012345678901234567890n],
    ["ms", "PT5M", 300_000],
    ["ms", "PT1H30M0.5S", 5_400_500],
    ["ms", "P1D", 86_400_000],
    ["ms", "30s", 30_000],
    ["ms", "1.5s", 1_500],
    ["ms", "250", 250],
    ["url", "http://core:18090/", "http://core:18090"],
    ["whole", "-5", -5],
    ["choice", "b", "b"],
  ] as const)("%s reads %s", (kind, text, value) => {
    expect(schemas[kind].parse(text)).toBe(value);
  });

  test.each([
    ["switch", "maybe"],
    ["amount", "1.5"],
    ["amount", "1e9"],
    ["amount", "-1"],
    ["ms", "P"],
    ["ms", "PT"],
    ["ms", "5 weeks"],
    ["ms", "99999d"],
    ["url", "core:18090"],
    ["url", "ftp://core"],
    ["whole", "6"],
    ["whole", "0x1"],
    ["choice", "A"],
  ] as const)("%s refuses %s", (kind, text) => {
    expect(schemas[kind].safeParse(text).success).toBe(false);
  });

  test("no text makes a parser throw", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(..."-0123456789.ePTHMS,:/x ") })), (text) => {
        for (const schema of [...Object.values(schemas), asList(asText())]) schema.safeParse(text);
      }),
    );
  });
});

test("guesses are near or absent", () => {
  const known = ["--port", "--name", "--gas-price-cap"];
  expect(guess("--prot", known)).toBe("--port");
  expect(guess("--gas-cap-price", known)).toBeUndefined();
  expect(guess("--completely-else", known)).toBeUndefined();
  expect(guess("x".repeat(10_000), known)).toBeUndefined();
});
