import { envOf, flagsOf } from "./define.ts";
import { type ConfigShape, defaultOf, isSwitch, type Setting } from "./setting.ts";

function defaultText(setting: Setting): string {
  const found = defaultOf(setting);
  return found.kind === "value" ? found.text : found.kind;
}

const facts = (setting: Setting): string =>
  [
    setting.unit === undefined ? [] : [`unit: ${setting.unit}`],
    `default: ${defaultText(setting)}`,
    setting.reload === "live" ? ["changes without restart"] : [],
    `env: ${envOf(setting).join(", ")}`,
  ]
    .flat()
    .join("; ");

function wrap(text: string, width: number, indent: string): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line].map((each) => `${indent}${each}`).join("\n");
}

/** The settings as `--help` prints them: examples first, then each flag with doc, unit, default and environment names. */
export function renderHelp(
  definition: ConfigShape,
  text: { readonly usage?: string; readonly about?: string; readonly examples?: readonly string[] } = {},
): string {
  const placeholder = (setting: Setting): string => (setting.secret ? " PATH" : isSwitch(setting) ? "" : " VALUE");
  const settings = Object.values(definition.settings).map((setting) => {
    const heads = flagsOf(setting).map((flag) => `  ${flag}${placeholder(setting)}`);
    return `${heads.join("\n")}\n${wrap(setting.doc, 88, "      ")}\n${wrap(facts(setting), 88, "      ")}`;
  });
  return [
    text.usage ?? `${definition.name} [settings]`,
    text.about === undefined ? [] : [text.about],
    text.examples === undefined ? [] : [`Examples:\n${text.examples.map((example) => `  ${example}`).join("\n")}`],
    `Settings (a flag wins over the environment, that over the file of --config PATH, that over the default):\n${settings.join("\n\n")}`,
    "  --config PATH\n      JSON file with one member per setting.\n\n  --help, --version, --json\n      Help; version; one JSON line on standard output.",
  ]
    .flat()
    .join("\n\n")
    .concat("\n");
}

const cell = (text: string): string => text.replaceAll("|", "\\|");
const code = (text: string): string => `\`${text}\``;

/** The settings as a markdown table, for the generated reference. */
export function renderReference(definition: ConfigShape): string {
  const rows = Object.entries(definition.settings).map(([key, setting]) => {
    const found = defaultOf(setting);
    const cells = [
      code(key),
      envOf(setting).map(code).join("<br>"),
      flagsOf(setting).map(code).join("<br>"),
      found.kind === "value" ? code(found.text) : found.kind,
      setting.unit ?? "",
      setting.reload,
      setting.secret ? `${setting.doc} Secret.` : setting.doc,
    ];
    return `| ${cells.map(cell).join(" | ")} |`;
  });
  return [
    "| key | environment | flag | default | unit | change | meaning |",
    "|---|---|---|---|---|---|---|",
    ...rows,
    "",
    "A flag wins over the environment, the environment over the file of `--config PATH`, the file over the default. An empty environment",
    "value counts as absent. In the file a setting is a member named by its key; a secret is named by `<key>File` and holds a path.",
    "",
  ].join("\n");
}
