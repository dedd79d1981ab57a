import type { z } from "zod";
import type { Redacted } from "../redacted.ts";

/** `live` settings change without a restart. */
export type Reload = "live" | "restart";

/** One setting: where it comes from, what it means, and what a bad value is told. */
export interface Setting<T = unknown, IsSecret extends boolean = boolean> {
  /** Accepted environment names, the guide's first; the first one present wins. An empty value counts as absent. */
  readonly env: readonly [string, ...string[]];
  readonly flag: `--${string}`;
  readonly unit?: string;
  /** One sentence an operator understands; becomes `--help` and the reference page. */
  readonly doc: string;
  readonly reload: Reload;
  /** Secrets arrive by environment, by `NAME_FILE` or by `--flag-file PATH` (`-` is standard input), never by a plain flag. */
  readonly secret: IsSecret;
  /** Reads the text of the setting; `.default()` or `.optional()` makes it optional. */
  readonly schema: z.ZodType<T>;
}

export interface SettingSpec<T> {
  readonly env: readonly [string, ...string[]];
  readonly flag: `--${string}`;
  readonly unit?: string;
  readonly doc: string;
  readonly reload: Reload;
  readonly schema: z.ZodType<T>;
}

/** What the program sees of a setting. */
export type ValueOf<S> =
  S extends Setting<infer T, infer IsSecret>
    ? IsSecret extends true
      ? undefined extends T
        ? Redacted<Exclude<T, undefined>> | undefined
        : Redacted<T>
      : T
    : never;

export type Settings = Readonly<Record<string, Setting>>;
export type Values<S extends Settings> = { readonly [K in keyof S]: ValueOf<S[K]> };

/** Declares a setting; with `secret: true` its value comes wrapped in `Redacted`. */
export function setting<T>(spec: SettingSpec<T> & { readonly secret: true }): Setting<T, true>;
export function setting<T>(spec: SettingSpec<T> & { readonly secret?: false }): Setting<T, false>;
export function setting<T>(spec: SettingSpec<T> & { readonly secret?: boolean }): Setting<T> {
  return { ...spec, secret: spec.secret ?? false };
}

/** A rule between settings. Returns what is wrong, in one sentence, or undefined. */
export type Rule<S extends Settings> = (values: Values<S>) => string | undefined;

/** A definition as far as help and reference need it. */
export interface ConfigShape {
  /** The command's name, as in `iexec-worker`. */
  readonly name: string;
  readonly settings: Settings;
}

export interface ConfigDefinition<S extends Settings> extends ConfigShape {
  readonly settings: S;
  readonly rules: readonly Rule<S>[];
}

/** Settings whose text is `true` or `false`: their flag needs no value. */
export function isSwitch({ schema, secret }: Setting): boolean {
  if (secret) return false;
  const yes = schema.safeParse("true");
  const no = schema.safeParse("false");
  return yes.success && yes.data === true && no.success && no.data === false;
}

export type DefaultOf = { readonly kind: "required" } | { readonly kind: "none" } | { readonly kind: "value"; readonly text: string };

/** What the setting is when nobody sets it. */
export function defaultOf({ schema, secret }: Setting): DefaultOf {
  const parsed = schema.safeParse(undefined);
  if (!parsed.success) return { kind: "required" };
  if (parsed.data === undefined || parsed.data === null) return { kind: "none" };
  return { kind: "value", text: secret ? "[redacted]" : showValue(parsed.data) };
}

/** A value as an operator would write it. */
export function showValue(value: unknown): string {
  if (Array.isArray(value)) return value.map(showValue).join(",");
  if (value instanceof Date) return value.toISOString();
  if (value instanceof URL) return value.href;
  if (typeof value === "object" && value !== null) {
    const ownText = Object.getPrototypeOf(value) !== Object.prototype;
    return ownText ? String(value) : JSON.stringify(value, (_, part: unknown) => (typeof part === "bigint" ? part.toString() : part));
  }
  return String(value);
}
