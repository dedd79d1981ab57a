import { execFile, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { CodedError, openScope } from "@iexec-ts/service";
import { z } from "zod";
import { askWorker } from "../../control/client.ts";
import { fetchFiles, fetchManifest } from "../../update/fetch-release.ts";
import { Installation } from "../../update/installation.ts";
import { compareVersions, type Manifest } from "../../update/release.ts";
import { type Context, type Input, switchOption, textOption } from "../context.ts";
import { askScheduler } from "../facts/chain-facts.ts";
import { localFacts } from "../facts/local-facts.ts";
import type { Report } from "../report.ts";
import { durationOption, reach, untilStopped } from "./control.ts";
import { stop } from "./operate.ts";

const TRY_MS = 60_000;
const HEALTH_MS = 90_000;
const STOP_MS = 60_000;
const LOOK_MS = 100;
const LOG_NAME = "worker.log";

const stateSchema = z.object({ version: z.string(), joined: z.boolean() });

/**
 * Replaces this worker by the newest release of its publisher: proved, tried, then changed over while nothing is under way, and changed back
 * when the new version does not join its workerpool.
 *
 * Errors: WRK-1701 to WRK-1709; those of `stop --drain`. SIDE EFFECTS: files of the installation; the worker ends and starts again.
 */
export async function update(context: Context, input: Input): Promise<Report> {
  const installation = Installation.of(process.argv[1] ?? "");
  await finishInterrupted(context, input, installation);
  const current = await installation.currentVersion();
  const manifest = await offered(context, input, installation);
  const { version } = manifest;
  if (version === current) return upToDate(current);
  if (switchOption(input, "check")) return available(current, manifest);
  await mustSuitPool(context, input, version);
  const reached = await reach(context);
  const open = reached.facts.journal?.replicates.filter(({ closedAt }) => closedAt === undefined).length ?? 0;
  if (!reached.running && open > 0) throw new CodedError("WRK-1708", { open });

  await install(context, input, installation, manifest);
  // From here on a rerun goes back to this version, unless one is known to be well.
  if (reached.running) {
    await installation.remember({ from: current });
    await drain(context, input, installation);
  }
  await installation.switchTo(version);
  if (reached.running) {
    const reason = await startAndJoin(context, input, installation, version);
    if (reason !== undefined) return rollBack(context, input, installation, { version, back: current, reason });
  }
  const { broken } = installation.memory;
  await installation.remember({ from: undefined, broken: broken.filter((known) => known !== version) });
  const removed = await installation.prune([version, current]);
  return {
    data: { from: current, to: version, running: reached.running, removed: [...removed] },
    text: (style) =>
      [
        `${style.mark("ok")} ${current} -> ${style.strong(version)}${reached.running ? ", joined its workerpool" : ""}`,
        `   ${current} stays beside it${removed.length === 0 ? "" : `; removed: ${removed.join(", ")}`}`,
      ].join("\n"),
    next: [reached.running ? "iexec-worker status" : "iexec-worker start"],
  };
}

const upToDate = (version: string): Report => ({
  data: { from: version, to: version, upToDate: true },
  text: (style) => `${style.mark("ok")} ${version} is the newest release`,
});

const available = (from: string, { version, released }: Manifest): Report => ({
  data: { from, to: version, released, upToDate: false },
  text: (style) => `${style.mark("note")} ${version} of ${released} is there, this is ${from}; nothing was changed`,
  next: ["iexec-worker update"],
});

/** Errors: WRK-1702 to WRK-1704, WRK-1709. */
async function offered({ clock, signal }: Context, input: Input, installation: Installation): Promise<Manifest> {
  const { origin } = installation;
  const manifest = await fetchManifest({ ...origin, url: textOption(input, "from") ?? origin.url }, clock.now(), signal);
  const { version } = manifest;
  const { highest, broken } = installation.memory;
  const known = compareVersions(highest, installation.version) > 0 ? highest : installation.version;
  if (compareVersions(version, known) < 0) throw new CodedError("WRK-1704", { offered: version, known });
  if (broken.includes(version) && !switchOption(input, "force")) throw new CodedError("WRK-1709", { version });
  await installation.remember({ highest: version });
  return manifest;
}

/** A pool that does not answer does not hold an update up: the health check will tell. Errors: WRK-1705. */
async function mustSuitPool(context: Context, input: Input, offeredVersion: string): Promise<void> {
  if (switchOption(input, "force") || context.settings.announceVersion !== undefined) return;
  const required = await askScheduler(context).then(
    ({ configuration }) => configuration.requiredWorkerVersion,
    () => "",
  );
  if (required !== "" && required !== offeredVersion) throw new CodedError("WRK-1705", { required, offered: offeredVersion });
}

/** Errors: WRK-1702, WRK-1703, WRK-1706. SIDE EFFECTS: the version's folder. */
async function install({ signal, tell }: Context, input: Input, installation: Installation, manifest: Manifest): Promise<void> {
  const { version } = manifest;
  tell(`  downloading ${version}: ${manifest.files.length} files...`);
  const staged = await installation.stage(version);
  try {
    await fetchFiles(textOption(input, "from") ?? installation.origin.url, manifest, staged, signal);
    await installation.keep(staged, version);
  } finally {
    await rm(staged, { recursive: true, force: true });
  }
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [installation.programOf(version), "--version"], {
      timeout: TRY_MS,
      signal,
    });
    if (stdout.trim() !== version) throw new Error(`it says it is ${stdout.trim().slice(0, 40)}`);
  } catch (thrown) {
    signal.throwIfAborted();
    const reason = thrown instanceof Error ? (thrown.message.split("\n")[0] ?? "") : String(thrown);
    throw new CodedError("WRK-1706", { version, reason }, { cause: thrown });
  }
}

/** Lets the worker finish what is under way; it takes no new task meanwhile. Errors: those of `stop`; WRK-1515, the version that was there goes on. */
async function drain(context: Context, input: Input, installation: Installation): Promise<void> {
  context.tell("  letting the worker finish what is under way...");
  const timeout = textOption(input, "timeout");
  const { data } = await stop(context, { args: [], options: { drain: true, ...(timeout === undefined ? {} : { timeout }) } });
  if (data.drained === true) return;
  if (data.stopped === true) await startAndJoin(context, input, installation, await installation.currentVersion());
  await installation.remember({ from: undefined });
  const open = Array.isArray(data.left) ? data.left.length : 0;
  throw new CodedError("WRK-1515", { open, timeout: timeout ?? "the drain was taken back" });
}

/** @returns why it is not well, or undefined when it joined its workerpool. SIDE EFFECTS: a worker that outlives this command. */
async function startAndJoin(context: Context, input: Input, installation: Installation, version: string): Promise<string | undefined> {
  const { clock, signal, tell } = context;
  tell(`  starting ${version}...`);
  const limitMs = durationOption(input, "health", "--health") ?? HEALTH_MS;
  const end = clock.monotonicMs() + limitMs;
  const ended = await launch(context, input, installation);
  const { socket } = await reach(context);
  // Bounded: each question has a limit, and the loop ends at the limit of the whole.
  for (;;) {
    using asked = openScope([signal], { ms: LOOK_MS * 20 });
    const answer = await askWorker(socket, "state", {}, { signal: asked.signal }).catch(() => undefined);
    signal.throwIfAborted();
    const state = answer?.kind === "done" ? stateSchema.safeParse(answer.facts).data : undefined;
    if (state?.version === version && state.joined) return undefined;
    if (ended.code !== undefined) return `it ended with ${ended.code}`;
    if (clock.monotonicMs() > end)
      return state === undefined
        ? `it did not answer within ${limitMs / 1_000} s`
        : state.version === version
          ? `it did not join its workerpool within ${limitMs / 1_000} s`
          : `${state.version} runs instead`;
    await clock.sleep(LOOK_MS, signal);
  }
}

/** Through `--start-with` where something else keeps the worker alive, otherwise as a process of its own. */
async function launch(context: Context, input: Input, installation: Installation): Promise<{ readonly code: number | undefined }> {
  const { settings, settingsArgv, env } = context;
  const command = textOption(input, "startWith");
  const logPath = join(settings.stateDir, LOG_NAME);
  await mkdir(settings.stateDir, { recursive: true, mode: 0o755 });
  const log = openSync(logPath, "a", 0o600);
  const [file, ...args] =
    command === undefined ? [process.execPath, installation.currentProgram, "start", ...settingsArgv] : ["/bin/sh", "-c", command];
  const child = spawn(file ?? "", args, { detached: true, stdio: ["ignore", log, log], env: { ...env } });
  closeSync(log);
  const ended: { code: number | undefined } = { code: undefined };
  // A start command may end at once; only its failure tells something.
  child.once("exit", (code) => {
    if (command === undefined || code !== 0) ended.code = code ?? 1;
  });
  child.once("error", () => (ended.code = 1));
  child.unref();
  return ended;
}

interface Failure {
  readonly version: string;
  readonly back: string;
  readonly reason: string;
}

/** Errors: WRK-1707 always: the update failed, the worker goes on. */
async function rollBack(context: Context, input: Input, installation: Installation, failure: Failure): Promise<never> {
  const { version, back, reason } = failure;
  context.tell(`  ${version} is not well (${reason}); going back to ${back}...`);
  await endWhatRuns(context);
  await installation.switchTo(back);
  await installation.remember({ from: undefined, broken: [...new Set([...installation.memory.broken, version])] });
  const again = await startAndJoin(context, input, installation, back);
  const told = again === undefined ? reason : `${reason}; ${back} is not well either: ${again}`;
  throw new CodedError("WRK-1707", { version, back, reason: told, log: join(context.settings.stateDir, LOG_NAME) });
}

async function endWhatRuns(context: Context): Promise<void> {
  const reached = await reach(context);
  if (!reached.running) return;
  await askWorker(reached.socket, "stop", { now: true }, { signal: context.signal });
  await untilStopped(context, reached, STOP_MS);
}

/** An update that died while the worker was down is undone, and the worker is started again. */
async function finishInterrupted(context: Context, input: Input, installation: Installation): Promise<void> {
  const { from } = installation.memory;
  if (from === undefined) return;
  const { running } = await localFacts(context);
  if (running.kind === "stopped") {
    context.tell(`  an update was interrupted: going back to ${from}`);
    await installation.switchTo(from);
    await startAndJoin(context, input, installation, from);
  }
  await installation.remember({ from: undefined });
}
