import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { freeMib } from "../../host-check.ts";
import { sizeOf } from "../../manners/tree-size.ts";
import type { Context } from "../context.ts";
import { journalPath } from "../facts/journal-facts.ts";
import { localFacts, lockPath } from "../facts/local-facts.ts";
import { pageUrl } from "../facts/page-facts.ts";
import type { Report } from "../report.ts";
import { defaultConfigPath, knownConfigFile } from "../settings.ts";
import { bytes } from "../view/bytes.ts";
import { table } from "../view/table.ts";

export async function disk(context: Context): Promise<Report> {
  const { settings } = context;
  const local = await localFacts(context);
  const tasks = join(settings.baseDir, settings.name);
  const open = new Set((local.journal?.replicates ?? []).filter(({ closedAt }) => closedAt === undefined).map(({ taskId }) => taskId));
  const folders = await readdir(tasks).catch(() => [] as string[]);
  const orphans = folders.filter((name) => /^0x[0-9a-f]{64}$/.test(name) && !open.has(`0x${name.slice(2)}`));
  const rows = [
    { what: "files of tasks", path: tasks, bytes: await sizeOf(tasks) },
    { what: "journal and locks", path: settings.stateDir, bytes: await sizeOf(settings.stateDir) },
  ];
  const free = await freeMib(settings.baseDir).catch(() => undefined);
  const enough = free === undefined || free >= settings.minFreeMib;
  return {
    data: {
      freeMib: free ?? null,
      minFreeMib: settings.minFreeMib,
      asksForTasks: enough,
      folders: rows.map((row) => ({ ...row })),
      leftOver: orphans,
    },
    text: (style) =>
      [
        table(
          [
            { title: "WHAT", value: ({ what }) => what },
            { title: "SIZE", value: ({ bytes: size }) => bytes(size), align: "right" },
            { title: "WHERE", value: ({ path }) => path },
          ],
          rows,
          style,
        ),
        "",
        free === undefined
          ? `${style.mark("note")} ${settings.baseDir} does not exist yet`
          : `${style.mark(enough ? "ok" : "warn")} ${bytes(free * 1_048_576)} free; no task is asked for below ${bytes(settings.minFreeMib * 1_048_576)}`,
        ...(orphans.length === 0
          ? []
          : [`${style.mark("warn")} ${orphans.length} folders belong to no open task; the worker removes them at its next start`]),
      ].join("\n"),
    next: enough ? ["iexec-worker image list"] : ["iexec-worker image prune --dry-run"],
  };
}

export async function paths(context: Context): Promise<Report> {
  const { settings, env } = context;
  const { wallet } = await localFacts(context);
  const rows: readonly (readonly [string, string])[] = [
    ["config file", knownConfigFile(env) ?? `${defaultConfigPath(env)} (not there)`],
    ["wallet", settings.walletPath],
    ["files of tasks", join(settings.baseDir, settings.name)],
    ["state", settings.stateDir],
    ["journal", wallet === undefined ? "needs a wallet" : journalPath(settings.stateDir, wallet)],
    ["lock", wallet === undefined ? "needs a wallet" : lockPath(settings.stateDir, wallet)],
    ["images pulled", join(settings.stateDir, "images.json")],
    ["container engine", settings.dockerSocket],
    ["page", pageUrl(settings) ?? "a port the system chooses"],
  ];
  return {
    data: { paths: Object.fromEntries(rows) },
    text: (style) =>
      table(
        [
          { title: "WHAT", value: ([what]) => what },
          { title: "WHERE", value: ([, where]) => where },
        ],
        rows,
        style,
      ),
    next: ["iexec-worker disk"],
  };
}
