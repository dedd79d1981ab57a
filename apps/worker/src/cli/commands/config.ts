import { CodedError, type Explanation, loadConfig } from "@iexec-ts/service";
import { workerConfig } from "../../config.ts";
import type { Context, Input } from "../context.ts";
import { EXIT, type Json, type Report } from "../report.ts";
import { flagOf, knownConfigFile } from "../settings.ts";
import { table } from "../view/table.ts";

const originText = ({ origin }: Explanation): string => (origin.source === "default" ? "default" : `${origin.source} ${origin.name}`);

const plain = (explanation: Explanation): Json => ({
  key: explanation.key,
  value: explanation.value,
  source: explanation.origin.source,
  from: explanation.origin.name,
  env: [...explanation.setting.env],
  flag: flagOf(explanation.setting),
  reload: explanation.setting.reload,
});

const settingsTable = (explanations: readonly Explanation[], style: Parameters<typeof table>[2]): string =>
  table(
    [
      { title: "SETTING", value: ({ key }) => key },
      { title: "VALUE", value: ({ value }) => value || "-", max: 44 },
      { title: "FROM", value: originText },
    ],
    explanations,
    style,
  );

/** Errors: SVC-1103 unknown setting, with the nearest known one. */
export async function configExplain({ config }: Context, input: Input): Promise<Report> {
  const [key] = input.args;
  if (key === undefined) {
    const all = config.explainAll();
    return { data: { settings: all.map(plain) }, text: (style) => settingsTable(all, style), next: ["iexec-worker config explain KEY"] };
  }
  const found = config.explain(key);
  const { setting } = found;
  return {
    data: { setting: plain(found) },
    text: (style) =>
      [
        `${style.strong(key)} = ${found.value || "(not set)"}${setting.unit === undefined ? "" : `  (${setting.unit})`}`,
        `   from         ${originText(found)}`,
        `   meaning      ${setting.doc}`,
        `   environment  ${setting.env.join(", ")}`,
        `   flag         ${flagOf(setting)}`,
        `   a change     ${setting.reload === "live" ? "counts at once" : "counts after a restart of the worker"}`,
      ].join("\n"),
  };
}

/** Judges the settings as `start` would. */
export async function configValidate({ settingsArgv, env }: Context): Promise<Report> {
  try {
    const { warnings } = loadConfig(workerConfig, { argv: settingsArgv, env, file: knownConfigFile(env) });
    return {
      data: { valid: true, warnings: [...warnings] },
      text: (style) =>
        [`${style.mark("ok")} the worker would start with these settings`, ...warnings.map((text) => `${style.mark("warn")} ${text}`)].join(
          "\n",
        ),
      next: ["iexec-worker doctor"],
    };
  } catch (thrown) {
    const error = CodedError.from(thrown);
    return {
      data: { valid: false, error: { ...error.toJSON() } },
      text: (style) => `${style.mark("bad")} ${error.message}`,
      exit: EXIT.usage,
      next: ["iexec-worker config explain KEY"],
    };
  }
}

export async function configDiff({ config }: Context): Promise<Report> {
  const changed = config.explainAll().filter(({ origin }) => origin.source !== "default");
  return {
    data: { settings: changed.map(plain) },
    text: (style) => (changed.length === 0 ? "Every setting has its default." : settingsTable(changed, style)),
    next: ["iexec-worker config explain KEY"],
  };
}
