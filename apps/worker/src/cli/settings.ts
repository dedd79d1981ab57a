import { asText, type Config, defineConfig, loadConfig, Redacted, type Rule, type Setting, setting, type Values } from "@iexec-ts/service";
import { workerConfig } from "../config.ts";
import { type Environment, knownConfigFile } from "../config-file.ts";

export { defaultConfigPath, type Environment, knownConfigFile } from "../config-file.ts";

/**
 * The worker's settings as the operator's commands need them: only a few commands ask for the password, and those ask the person when no
 * setting has it.
 */
const settings = {
  ...workerConfig.settings,
  walletPassword: setting<string | undefined>({
    ...workerConfig.settings.walletPassword,
    secret: true,
    schema: asText(1_024).optional(),
  }),
};

const operatorConfig = defineConfig({
  name: workerConfig.name,
  settings,
  rules: workerConfig.rules.map(
    (rule): Rule<typeof settings> =>
      (values) =>
        rule({ ...values, walletPassword: values.walletPassword ?? new Redacted("not asked for") }),
  ),
});

export type OperatorSettings = Values<(typeof operatorConfig)["settings"]>;
export type OperatorConfig = Config<(typeof operatorConfig)["settings"]>;

/** Every setting by its key. */
export const SETTINGS: Readonly<Record<string, Setting>> = operatorConfig.settings;

/** The flag of a setting as it is typed: a secret only by file. */
export const flagOf = ({ flag, secret }: Setting): string => (secret ? `${flag}-file` : flag);

/** Errors: SVC-1101. SIDE EFFECTS: reads the config file and the files of secrets. */
export function loadOperatorConfig(argv: readonly string[], env: Environment): OperatorConfig {
  return loadConfig(operatorConfig, { argv, env, file: knownConfigFile(env) });
}
