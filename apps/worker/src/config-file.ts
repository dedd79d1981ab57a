import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Where the operator's own settings are looked for when `--config` does not say. @source XDG base directory specification */
export function defaultConfigPath(env: Environment): string {
  const base = env.XDG_CONFIG_HOME === undefined || env.XDG_CONFIG_HOME === "" ? join(homedir(), ".config") : env.XDG_CONFIG_HOME;
  return join(base, "iexec-worker", "config.json");
}

/** The config file of this machine if `init` has written one, else undefined. */
export function knownConfigFile(env: Environment): string | undefined {
  const path = defaultConfigPath(env);
  return existsSync(path) ? path : undefined;
}
