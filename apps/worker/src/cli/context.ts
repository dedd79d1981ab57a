import type { Clock } from "@iexec-ts/service";
import type { Prompter } from "./prompt.ts";
import type { Environment, OperatorConfig, OperatorSettings } from "./settings.ts";

/** What a command was given besides the settings. */
export interface Input {
  readonly args: readonly string[];
  readonly options: Readonly<Record<string, unknown>>;
}

/** Everything a command may touch. */
export interface Context {
  readonly settings: OperatorSettings;
  readonly config: OperatorConfig;
  /** The settings given as flags, as `loadConfig` reads them. */
  readonly settingsArgv: readonly string[];
  readonly env: Environment;
  readonly clock: Clock;
  readonly prompt: Prompter;
  /** Aborts when the person presses Ctrl-C. */
  readonly signal: AbortSignal;
  /** A line about what is going on, for a person who waits; never data. */
  readonly tell: (text: string) => void;
}

/** The text given with an option, or undefined. */
export function textOption(input: Input, name: string): string | undefined {
  const value = input.options[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

export const switchOption = (input: Input, name: string): boolean => input.options[name] === true;
