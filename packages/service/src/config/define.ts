import { CodedError } from "../errors/coded-error.ts";
import { type ConfigDefinition, defaultOf, type Rule, type Setting, type Settings } from "./setting.ts";

const RESERVED_FLAGS = ["--help", "--version", "--config", "--json"];
const FLAG = /^--[a-z0-9]+(-[a-z0-9]+)*$/;
const ENV = /^[A-Z][A-Z0-9_]*$/;
const UNIT_BY_SUFFIX: Readonly<Record<string, RegExp>> = { Ms: /ms|millisecond/, Seconds: /second/, Bytes: /byte/, Wei: /wei/ };

/** Flags under which a setting may be given; a secret only by file. */
export const flagsOf = ({ flag, secret }: Setting): readonly string[] => (secret ? [`${flag}-file`] : [flag]);

/** Environment names under which a setting may be given, best first. */
export const envOf = ({ env, secret }: Setting): readonly string[] => (secret ? env.flatMap((name) => [name, `${name}_FILE`]) : env);

/**
 * What is missing or contradictory in a definition, one sentence each; empty when it is complete. Every app tests its own with it.
 */
export function configProblems(definition: { readonly settings: Settings }): readonly string[] {
  const problems: string[] = [];
  const owners = new Map<string, string>(RESERVED_FLAGS.map((flag) => [flag, "every command"]));
  for (const [key, setting] of Object.entries(definition.settings)) {
    for (const name of [...flagsOf(setting), ...envOf(setting)]) {
      const owner = owners.get(name);
      if (owner !== undefined) problems.push(`${key} uses ${name}, which belongs to ${owner}`);
      owners.set(name, key);
    }
    if (!FLAG.test(setting.flag)) problems.push(`${key} has the flag ${setting.flag}, which is not --lower-case-words`);
    for (const name of setting.env) if (!ENV.test(name)) problems.push(`${key} has the environment name ${name}, which is not UPPER_CASE`);
    if (!/^[A-Z].{10,}\.$/s.test(setting.doc)) problems.push(`${key} has no doc sentence (capital, full stop)`);
    if (/[|\n]/.test(setting.doc)) problems.push(`${key} has a doc with a line break or a bar, which breaks the table`);
    for (const [suffix, unit] of Object.entries(UNIT_BY_SUFFIX)) {
      if (key.endsWith(suffix) && !unit.test(setting.unit ?? "")) problems.push(`${key} needs its unit`);
    }
    const fallback = defaultOf(setting);
    if (fallback.kind === "value" && setting.secret) problems.push(`${key} is a secret with a default`);
    if (fallback.kind === "value" && !setting.secret && !setting.schema.safeParse(fallback.text).success) {
      problems.push(`${key} has the default ${fallback.text}, which its own rule refuses`);
    }
  }
  return problems;
}

/**
 * The settings of one program, from which flags, environment names, help and reference are made.
 *
 * Errors: SVC-1102 when `configProblems` finds any.
 */
export function defineConfig<const S extends Settings>(spec: {
  readonly name: string;
  readonly settings: S;
  readonly rules?: readonly Rule<NoInfer<S>>[];
}): ConfigDefinition<S> {
  const problems = configProblems(spec);
  if (problems.length > 0) throw new CodedError("SVC-1102", { name: spec.name, reason: problems.join("; ") });
  return { name: spec.name, settings: spec.settings, rules: spec.rules ?? [] };
}
