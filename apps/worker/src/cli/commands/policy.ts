import { CodedError, type Explanation, guess } from "@iexec-ts/service";
import { z } from "zod";
import { checkWanted, type Wanted, writeSettings } from "../../control/settings-file.ts";
import { MANNER_SETTINGS } from "../../manners/settings.ts";
import { type Policy, whyNot } from "../../policy/policy.ts";
import { PRESETS, presetOf } from "../../policy/presets.ts";
import { POLICY_SETTINGS } from "../../policy/settings.ts";
import type { Replicate } from "../../replicate/replicate.ts";
import { type Context, type Input, textOption } from "../context.ts";
import { type ChainReader, withChain } from "../facts/chain-facts.ts";
import type { Json, Report } from "../report.ts";
import { defaultConfigPath } from "../settings.ts";
import { parseAmount } from "../view/amounts.ts";
import { table } from "../view/table.ts";
import { ask, reach } from "./control.ts";

const KEYS = [...Object.keys(MANNER_SETTINGS), ...Object.keys(POLICY_SETTINGS)];
const changeSchema = z.object({ key: z.string(), from: z.string(), to: z.string(), live: z.boolean() });
type Change = z.output<typeof changeSchema>;
const changesSchema = z.object({ path: z.string().optional(), changes: z.array(changeSchema) });

const fromText = ({ origin }: Explanation): string => (origin.source === "default" ? "default" : `${origin.source} ${origin.name}`);

/** When this worker works and which tasks it takes. */
export async function policyShow({ config, settings }: Context): Promise<Report> {
  const shown = KEYS.map((key) => config.explain(key));
  const preset = presetOf(settings);
  return {
    data: { preset, settings: shown.map(({ key, value, origin }): Json => ({ key, value, source: origin.source, from: origin.name })) },
    text: (style) =>
      [
        `Preset: ${style.strong(preset)}${PRESETS[preset] === undefined ? "" : `, ${PRESETS[preset].meaning}`}`,
        "",
        table(
          [
            { title: "SETTING", value: ({ key }) => key },
            { title: "VALUE", value: ({ value }) => value || "-", max: 44 },
            { title: "FROM", value: fromText },
          ],
          shown,
          style,
        ),
      ].join("\n"),
    next: ["iexec-worker policy preview", "iexec-worker policy set KEY VALUE"],
  };
}

/** Errors: WRK-1513, WRK-1540, WRK-1541, WRK-1542, WRK-2012. SIDE EFFECTS: writes the settings file; a running worker follows at once. */
export async function policySet(context: Context, input: Input): Promise<Report> {
  const [key = "", text = ""] = input.args;
  if (!KEYS.includes(key) && context.config.explainAll().every((known) => known.key !== key))
    throw new CodedError("WRK-2012", { what: "The setting", expected: guess(key, KEYS) ?? KEYS.join(", "), got: key });
  // A price is typed as people write it.
  const isAmount = key === "minPrice" && text !== "default" && /\D/.test(text);
  const value = isAmount ? parseAmount(text, "RLC").toString() : text;
  return change(context, { [key]: text === "" || text === "default" ? null : value });
}

/** Errors: as `policy set`. SIDE EFFECTS: the same. */
export async function policyPreset(context: Context, input: Input): Promise<Report> {
  const [name = ""] = input.args;
  const preset = Object.hasOwn(PRESETS, name) ? PRESETS[name] : undefined;
  if (preset === undefined) throw new CodedError("WRK-2012", { what: "The preset", expected: Object.keys(PRESETS).join(", "), got: name });
  return change(context, preset.wanted);
}

async function change(context: Context, wanted: Wanted): Promise<Report> {
  const reached = await reach(context).catch(() => undefined);
  const path = context.config.file ?? defaultConfigPath(context.env);
  if (reached?.running === true) {
    const seen = changesSchema.parse(await ask(context, reached, "config-set", { values: wanted }, "policy set"));
    return changed(seen.changes, seen.path ?? path, true);
  }
  checkWanted(wanted, (key) => context.config.explain(key), path);
  writeSettings(path, wanted);
  const changes = Object.entries(wanted).flatMap(([key, to]): readonly Change[] => {
    const from = context.config.explain(key).value;
    return from === (to ?? "") ? [] : [{ key, from, to: to ?? "default", live: true }];
  });
  return changed(changes, path, false);
}

function changed(changes: readonly Change[], path: string, running: boolean): Report {
  return {
    data: { path, running, changes: changes.map((one) => ({ ...one })) },
    text: (style) =>
      [
        ...(changes.length === 0 ? [`${style.mark("note")} nothing changed`] : []),
        ...changes.map(
          ({ key, from, to, live }) =>
            `${style.mark(live ? "ok" : "warn")} ${key}: ${from || "-"} -> ${style.strong(to || "-")}${live ? "" : " (restart needed)"}`,
        ),
        `   in ${path}; ${running ? "the running worker follows already" : "no worker runs now"}`,
      ].join("\n"),
    next: ["iexec-worker policy show", "iexec-worker why-idle"],
  };
}

/** Reads the settings file again, as SIGHUP does. Errors: WRK-1512, WRK-1513, SVC-1101. */
export async function configReload(context: Context): Promise<Report> {
  const reached = await reach(context);
  const { changes } = changesSchema.parse(await ask(context, reached, "config-reload", {}, "config reload"));
  return changed(changes, context.config.file ?? defaultConfigPath(context.env), true);
}

const WEEK_MS = 7 * 86_400_000;

/** Which of the last week's tasks would have been taken with these settings. Errors: WRK-2012, those of the nodes. */
export async function policyPreview(context: Context, input: Input): Promise<Report> {
  const { settings, clock } = context;
  const { facts } = await reach(context);
  const name = textOption(input, "preset");
  const hours = name === undefined ? settings.hours : presetHours(context, name);
  const since = clock.now().getTime() - WEEK_MS;
  const tasks = (facts.journal?.replicates ?? []).filter(({ createdAt }) => createdAt.getTime() >= since);
  const refused: { readonly task: Replicate; readonly reason: string }[] = [];
  if (tasks.length > 0)
    await withChain(context, facts.journal, async (chain) => {
      for (const task of tasks) {
        const reason = hours.isOpen(task.createdAt) ? await whyRefused(settings, task, chain) : `outside the hours (${hours})`;
        if (reason !== undefined) refused.push({ task, reason });
      }
    });
  const taken = tasks.length - refused.length;
  return {
    data: { tasks: tasks.length, taken, refused: refused.map(({ task, reason }): Json => ({ taskId: task.taskId, reason })) },
    text: (style) =>
      [
        tasks.length === 0
          ? "No task in the last week to compare with."
          : `With these settings you would have run ${style.strong(`${taken} of last week's ${tasks.length} tasks`)}.`,
        ...refused.map(({ task, reason }) => `   ${task.taskId.slice(0, 12)}  ${reason}`),
      ].join("\n"),
    next: ["iexec-worker policy show"],
  };
}

function presetHours({ settings }: Context, name: string): Context["settings"]["hours"] {
  const preset = Object.hasOwn(PRESETS, name) ? PRESETS[name] : undefined;
  if (preset === undefined) throw new CodedError("WRK-2012", { what: "--preset", expected: Object.keys(PRESETS).join(", "), got: name });
  const parsed = MANNER_SETTINGS.hours.schema.safeParse(preset.wanted.hours ?? undefined);
  return parsed.success ? parsed.data : settings.hours;
}

async function whyRefused(policy: Policy, task: Replicate, { hub }: ChainReader): Promise<string | undefined> {
  const deal = await hub.deal(task.dealId);
  if (deal === undefined) return undefined;
  const [category, app] = await Promise.all([hub.category(deal.category), policy.onlyDigestApps ? hub.app(deal.app.pointer) : undefined]);
  return category === undefined ? undefined : whyNot(policy, { deal, category, app });
}
