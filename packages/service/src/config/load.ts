import { closeSync, openSync, readSync } from "node:fs";
import { parseArgs } from "node:util";
import { CodedError } from "../errors/coded-error.ts";
import { Redacted } from "../redacted.ts";
import { flagsOf } from "./define.ts";
import { guess } from "./guess.ts";
import { type ConfigDefinition, isSwitch, type Setting, type Settings, showValue, type Values } from "./setting.ts";

export interface Origin {
  readonly source: "flag" | "env" | "file" | "default";
  /** The flag, environment name or key that gave the value; empty for a default. */
  readonly name: string;
}

export interface Explanation {
  readonly key: string;
  /** As an operator would write it; `[redacted]` for a secret, empty when unset. */
  readonly value: string;
  readonly origin: Origin;
  readonly setting: Setting;
}

export interface Config<S extends Settings> {
  readonly values: Values<S>;
  /** Arguments that are not flags, in order. */
  readonly positionals: readonly string[];
  /** The settings file that was read, if there is one. */
  readonly file: string | undefined;
  /** Names in the environment that look like misspelled settings. */
  readonly warnings: readonly string[];
  /** Where a value came from. Errors: SVC-1103 for an unknown key. */
  explain(key: string): Explanation;
  explainAll(): readonly Explanation[];
}

export interface ConfigSources {
  /** Without the program's own name. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Path of a JSON file `{"<key>": value}`; `--config PATH` wins over it. */
  readonly file?: string | undefined;
  /** Reads at most `maxBytes` of a file (`-` is standard input). */
  readonly readText?: (path: string, maxBytes: number) => string;
}

interface Raw {
  readonly text: string;
  readonly origin: Origin;
}

const MAX_SECRET_BYTES = 64 * 1_024;
const MAX_FILE_BYTES = 1_024 * 1_024;
const STDIN = 0;

/** Reads at most `maxBytes` of a file, `-` being standard input. */
export function readBounded(path: string, maxBytes: number): string {
  const fd = path === "-" ? STDIN : openSync(path, "r");
  try {
    const buffer = Buffer.alloc(maxBytes + 1);
    let filled = 0;
    while (filled < buffer.length) {
      const read = readSync(fd, buffer, filled, buffer.length - filled, null);
      if (read === 0) break;
      filled += read;
    }
    if (filled > maxBytes) throw new RangeError(`longer than ${maxBytes} bytes`);
    return buffer.toString("utf8", 0, filled);
  } finally {
    if (fd !== STDIN) closeSync(fd);
  }
}

const reasonOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));

/** One final line break belongs to the file, not to the secret. */
const withoutLineBreak = (text: string): string => text.replace(/\r?\n$/, "");

function asksFor(argv: readonly string[], words: readonly string[]): boolean {
  const end = argv.indexOf("--");
  return (end === -1 ? argv : argv.slice(0, end)).some((argument) => words.includes(argument));
}

/** True when `--help` or `-h` stands before a `--`. */
export const helpRequested = (argv: readonly string[]): boolean => asksFor(argv, ["--help", "-h"]);

/** True when `--version` stands before a `--`. */
export const versionRequested = (argv: readonly string[]): boolean => asksFor(argv, ["--version"]);

interface Flags {
  readonly given: ReadonlyMap<string, string>;
  readonly positionals: readonly string[];
  readonly configPath: string | undefined;
}

function readFlags(settings: Settings, argv: readonly string[], faults: string[]): Flags {
  const options: Record<string, { type: "string" | "boolean"; short?: string }> = {
    config: { type: "string" },
    json: { type: "boolean" },
    help: { type: "boolean", short: "h" },
    version: { type: "boolean" },
  };
  const plainSecrets = new Map<string, string>();
  for (const setting of Object.values(settings)) {
    for (const flag of flagsOf(setting)) options[flag.slice(2)] = { type: isSwitch(setting) ? "boolean" : "string" };
    if (setting.secret) plainSecrets.set(setting.flag, `${setting.flag}-file`);
  }
  const { tokens } = parseArgs({ args: [...argv], options, strict: false, allowPositionals: true, tokens: true });
  const given = new Map<string, string>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const flag = `--${token.name}`;
    const option = options[token.name];
    const fileFlag = plainSecrets.get(flag);
    if (fileFlag !== undefined) faults.push(`${flag}: a secret is never given by flag, use ${fileFlag} PATH or its environment name`);
    else if (option === undefined) {
      const near = guess(
        flag,
        [...Object.keys(options)].map((name) => `--${name}`),
      );
      faults.push(`${token.rawName}: there is no such flag${near === undefined ? "" : `, did you mean ${near}?`}`);
    } else if (option.type === "boolean") given.set(flag, token.value ?? "true");
    else if (token.value === undefined || token.value === "") faults.push(`${flag}: needs a value`);
    else given.set(flag, token.value);
  }
  return { given, positionals, configPath: given.get("--config") };
}

function readFile(
  settings: Settings,
  path: string,
  readText: Required<ConfigSources>["readText"],
  faults: string[],
): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  let parsed: unknown;
  try {
    parsed = JSON.parse(readText(path, MAX_FILE_BYTES));
  } catch (thrown) {
    faults.push(`${path}: cannot be read as JSON (${reasonOf(thrown)})`);
    return found;
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    faults.push(`${path}: expected one JSON object with a member per setting`);
    return found;
  }
  const keys = Object.entries(settings).map(([key, { secret }]) => (secret ? `${key}File` : key));
  for (const [key, value] of Object.entries(parsed)) {
    if (!keys.includes(key)) {
      const near = guess(key, keys);
      faults.push(`${path}: there is no setting ${key}${near === undefined ? "" : `, did you mean ${near}?`}`);
    } else if (typeof value === "object" && !Array.isArray(value))
      faults.push(`${path}: ${key} must be a text, number, true, false or list`);
    else found.set(key, showValue(value));
  }
  return found;
}

function misspelled(settings: Settings, env: ConfigSources["env"]): readonly string[] {
  const known = Object.values(settings).flatMap(({ env: names, secret }) => (secret ? names.flatMap((n) => [n, `${n}_FILE`]) : names));
  const prefixes = new Set(known.map((name) => name.slice(0, name.indexOf("_") + 1)).filter((prefix) => prefix.length > 3));
  return Object.keys(env)
    .filter((name) => !known.includes(name) && [...prefixes].some((prefix) => name.startsWith(prefix)))
    .flatMap((name) => {
      const near = guess(name, known);
      return near === undefined ? [] : [`${name} is not a setting; did you mean ${near}?`];
    });
}

/**
 * Reads all settings once, from flags, environment and file, in this order of precedence; then come the defaults.
 *
 * Errors: SVC-1101 listing every fault at once. Secrets never appear in it.
 * SIDE EFFECTS: reads the config file, the files named by `*_FILE` and `--*-file`, and standard input for `-`.
 */
export function loadConfig<S extends Settings>(definition: ConfigDefinition<S>, sources: ConfigSources): Config<S> {
  const { env, readText = readBounded } = sources;
  const faults: string[] = [];
  const flags = readFlags(definition.settings, sources.argv, faults);
  const path = flags.configPath ?? sources.file;
  const file = path === undefined ? new Map<string, string>() : readFile(definition.settings, path, readText, faults);

  const fromFile = (secretPath: string, origin: Origin): Raw | undefined => {
    try {
      return { text: withoutLineBreak(readText(secretPath, MAX_SECRET_BYTES)), origin };
    } catch (thrown) {
      faults.push(`${origin.name}: cannot read ${secretPath} (${reasonOf(thrown)})`);
      return undefined;
    }
  };
  const present = (name: string): string | undefined => (env[name] === "" ? undefined : env[name]);

  const rawOf = (key: string, { flag, env: names, secret }: Setting): Raw | undefined => {
    const flagName = secret ? `${flag}-file` : flag;
    const byFlag = flags.given.get(flagName);
    if (byFlag !== undefined) {
      const origin: Origin = { source: "flag", name: flagName };
      return secret ? fromFile(byFlag, origin) : { text: byFlag, origin };
    }
    for (const name of names) {
      const plain = present(name);
      if (plain !== undefined) return { text: plain, origin: { source: "env", name } };
      const secretPath = secret ? present(`${name}_FILE`) : undefined;
      if (secretPath !== undefined) return fromFile(secretPath, { source: "env", name: `${name}_FILE` });
    }
    const fileKey = secret ? `${key}File` : key;
    const byFile = file.get(fileKey);
    if (byFile === undefined) return undefined;
    const origin: Origin = { source: "file", name: fileKey };
    return secret ? fromFile(byFile, origin) : { text: byFile, origin };
  };

  const values: Record<string, unknown> = {};
  const explanations = new Map<string, Explanation>();
  for (const [key, setting] of Object.entries(definition.settings)) {
    const faultsBefore = faults.length;
    const raw = rawOf(key, setting);
    if (faults.length > faultsBefore) continue;
    const parsed = setting.schema.safeParse(raw?.text);
    const unit = setting.unit === undefined ? "" : ` (${setting.unit})`;
    if (!parsed.success) {
      const where = raw === undefined ? `${setting.env[0]} or ${flagsOf(setting).join(", ")}` : raw.origin.name;
      const why = raw === undefined ? "must be set" : parsed.error.issues.map((issue) => issue.message).join(", ");
      const got = raw === undefined || setting.secret ? "" : `, got "${raw.text.slice(0, 80)}"`;
      faults.push(`${where}${unit}: ${why}${got}. ${setting.doc}`);
      continue;
    }
    const isSet = parsed.data !== undefined && parsed.data !== null;
    values[key] = setting.secret && isSet ? new Redacted(parsed.data) : parsed.data;
    const shown = !isSet ? "" : setting.secret ? "[redacted]" : showValue(parsed.data);
    explanations.set(key, { key, value: shown, origin: raw?.origin ?? { source: "default", name: "" }, setting });
  }

  const typed = values as Values<S>;
  if (faults.length === 0) faults.push(...definition.rules.flatMap((rule) => rule(typed) ?? []));
  if (faults.length > 0) {
    const list = faults.map((fault) => `  - ${fault}`).join("\n");
    throw new CodedError("SVC-1101", { name: definition.name, count: faults.length, faults: list });
  }

  return {
    values: typed,
    positionals: flags.positionals,
    file: path,
    warnings: misspelled(definition.settings, env),
    explain(key) {
      const explanation = explanations.get(key);
      if (explanation !== undefined) return explanation;
      const near = guess(key, explanations.keys()) ?? "one of --help";
      throw new CodedError("SVC-1103", { name: definition.name, key, guess: near });
    },
    explainAll: () => [...explanations.values()],
  };
}
