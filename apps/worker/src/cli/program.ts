import type { Readable, Writable } from "node:stream";
import { type Clock, CodedError, guess } from "@iexec-ts/service";
import { Command, CommanderError, Option } from "commander";
import { VERSION } from "../version.ts";
import type { CommandSpec } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import type { Input } from "./context.ts";
import { exitCodeFor } from "./exit.ts";
import { terminalPrompter } from "./prompt.ts";
import { EXIT, type ExitCode, type Json, type Report, SCHEMA } from "./report.ts";
import { type Environment, flagOf, loadOperatorConfig, SETTINGS } from "./settings.ts";
import { type Style, styleFor } from "./view/style.ts";

export interface CliStreams {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable & { readonly isTTY?: boolean };
}

export interface CliDeps {
  readonly env: Environment;
  readonly streams: CliStreams;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

const NAME = "iexec-worker";
const HELP_GROUP = "Settings (all of them: iexec-worker start --help):";
/** Settings that an operator's commands really use; the others are taken as well, but not listed in help. */
const COMMON = ["name", "coreUrl", "walletPath", "stateDir", "nodes"];
const WATCH_MS = 2_000;
const CLEAR = "\u001b[H\u001b[2J\u001b[3J";

export const commandName = (spec: CommandSpec): string => spec.path.join(" ");

const isSwitch = (schema: { safeParse(value: unknown): { data?: unknown } }): boolean => schema.safeParse("true").data === true;

/** The setting flags among the parsed options, as `loadConfig` reads them. */
function settingArguments(options: Readonly<Record<string, unknown>>, configPath: unknown): string[] {
  const words = typeof configPath === "string" ? [`--config=${configPath}`] : [];
  for (const setting of Object.values(SETTINGS)) {
    const value = options[new Option(flagOf(setting)).attributeName()];
    if (typeof value === "string") words.push(`${flagOf(setting)}=${value}`);
    else if (value === true) words.push(flagOf(setting));
  }
  if (typeof options.passwordFile === "string") words.push(`--wallet-password-file=${options.passwordFile}`);
  return words;
}

/** SIDE EFFECTS: runs one command of an operator. @returns the exit code of the process */
export async function runCli(argv: readonly string[], deps: CliDeps): Promise<ExitCode> {
  const { streams, env } = deps;
  const style = styleFor(streams.stdout.isTTY === true, env);
  const json = argv.includes("--json");
  let exit: ExitCode = EXIT.ok;
  const program = new Command(NAME)
    .description("Computes tasks of the iExec network for RLC.")
    .version(VERSION)
    .exitOverride()
    .configureOutput({ writeOut: (text) => streams.stdout.write(text), writeErr: (text) => streams.stderr.write(text) })
    .addHelpText("before", topExamples)
    .addHelpText("after", `\nAll commands, with real output, and the exit codes: docs/run/cli.md`);
  program.command("start").description("run the worker (all settings: iexec-worker start --help)");
  const groups = new Map<string, Command>();
  for (const spec of COMMANDS) {
    const [noun, verb] = spec.path;
    let parent: Command = program;
    if (verb !== undefined) {
      const known = groups.get(noun);
      parent = known ?? program.command(noun).description(groupSummary(noun)).exitOverride();
      groups.set(noun, parent);
      parent.copyInheritedSettings(program);
    }
    const command = parent
      .command(verb ?? noun, { hidden: spec.hidden === true })
      .description(spec.summary)
      .exitOverride()
      .copyInheritedSettings(program);
    addArguments(command, spec);
    command.action(async () => {
      const input: Input = { args: command.args, options: command.opts() };
      exit = await runSpec(spec, input, { ...deps, style, json });
    });
  }
  try {
    await program.parseAsync([...argv], { from: "user" });
    return exit;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.ok : usage(thrown, argv, json, streams);
    const error = CodedError.from(thrown);
    fail(error, json, streams, env.IEXEC_WORKER_DEBUG === "1" || argv.includes("--debug"));
    return exitCodeFor(error);
  }
}

function addArguments(command: Command, spec: CommandSpec): void {
  for (const [name, meaning] of spec.args ?? []) command.argument(name, meaning);
  for (const [flags, meaning] of spec.options ?? []) command.option(flags, meaning);
  if (spec.watch === true) command.option("--watch", "show it again and again until Ctrl-C");
  command
    .option("--json", "one line of JSON on standard output")
    .option("--no-input", "never ask anything")
    .option("--debug", "show where an error comes from")
    .option("--config <path>", "JSON file with settings")
    .addHelpText("before", `Examples:\n${spec.examples.map((example) => `  ${example}`).join("\n")}\n`);
  for (const [key, setting] of Object.entries(SETTINGS)) {
    const value = isSwitch(setting.schema) ? "" : setting.secret ? " <path>" : " <value>";
    const option = new Option(`${flagOf(setting)}${value}`, setting.doc).helpGroup(HELP_GROUP);
    command.addOption(COMMON.includes(key) ? option : option.hideHelp());
  }
}

const topExamples = `Examples:
  ${NAME} init                 set this machine up
  ${NAME} start                run the worker
  ${NAME} status               what it is doing now
`;

const groupSummary = (noun: string): string => {
  const verbs = COMMANDS.filter(({ path }) => path[0] === noun).map(({ path }) => path[1]);
  return verbs.join(", ");
};

/** Guesses typos, runs no guess. */
function usage(error: CommanderError, argv: readonly string[], json: boolean, streams: CliStreams): ExitCode {
  const words = argv.filter((word) => !word.startsWith("-"));
  const near = guess(words.slice(0, 2).join(" "), COMMANDS.map(commandName));
  if (error.code === "commander.help") return EXIT.usage;
  if (json) writeJson(streams, { ok: false, error: { code: "usage", message: error.message.replace(/^error: /, "") } });
  if (error.code === "commander.unknownCommand" && near !== undefined && !error.message.includes("Did you mean"))
    streams.stderr.write(`(Did you mean ${near}?)\n`);
  streams.stderr.write(`See ${NAME} --help\n`);
  return EXIT.usage;
}

interface RunDeps extends CliDeps {
  readonly style: Style;
  readonly json: boolean;
}

async function runSpec(spec: CommandSpec, input: Input, deps: RunDeps): Promise<ExitCode> {
  const { streams, env, clock, signal, style, json } = deps;
  const settingsArgv = settingArguments(input.options, input.options.config);
  const config = loadOperatorConfig(settingsArgv, env);
  for (const warning of config.warnings) streams.stderr.write(`warning: ${warning}\n`);
  const prompt = terminalPrompter(
    { input: streams.stdin, output: streams.stderr },
    { noInput: input.options.input === false || json, signal },
  );
  const run = await spec.load();
  const { tell, clear } = progress(streams, style);
  const once = () => run({ settings: config.values, config, settingsArgv, env, clock, prompt, signal, tell }, input).finally(clear);
  if (input.options.watch !== true) {
    const report = await once();
    show(spec, report, deps);
    return report.exit ?? EXIT.ok;
  }
  // Bounded: it is a person's command, which shows the facts again until the person leaves.
  while (!signal.aborted) {
    const report = await once();
    if (!json && !style.plain) streams.stdout.write(CLEAR);
    show(spec, report, deps);
    await clock.sleep(WATCH_MS, signal).catch(() => undefined);
  }
  return EXIT.ok;
}

/** A line that ends in dots tells only what goes on now: on a terminal that can, the next one takes its place and nothing of it stays. */
function progress({ stderr }: CliStreams, { colour }: Style): { tell(text: string): void; clear(): void } {
  let passing = false;
  const clear = () => {
    if (passing) stderr.write("\r\u001b[K");
    passing = false;
  };
  return {
    clear,
    tell: (text) => {
      if (stderr.isTTY !== true) return;
      clear();
      passing = colour && text.endsWith("...");
      stderr.write(passing ? text : `${text}\n`);
    },
  };
}

function show(spec: CommandSpec, report: Report, { streams, json, style }: RunDeps): void {
  if (json) {
    const ok = report.exit === undefined || report.exit === EXIT.ok;
    writeJson(streams, { ok, command: commandName(spec), ...report.data, next: report.next ?? [] });
    return;
  }
  streams.stdout.write(`${report.text(style)}\n`);
  const [first, ...more] = report.next ?? [];
  if (first === undefined) return;
  const lines = [`Next: ${first}`, ...more.map((command) => `      ${command}`)];
  // A suggestion is not data: it stays away from a pipe.
  if (!style.plain) streams.stdout.write(`${lines.map((line) => style.faint(line)).join("\n")}\n`);
}

const writeJson = (streams: CliStreams, data: { readonly [key: string]: Json }): void =>
  void streams.stdout.write(`${JSON.stringify({ schema: SCHEMA, ...data })}\n`);

/** What, why, fix and code. */
export function fail(error: CodedError, json: boolean, streams: CliStreams, debug: boolean): void {
  if (json) writeJson(streams, { ok: false, error: { ...error.toJSON() } });
  streams.stderr.write(`${error.code}: ${error.message}\n  ${error.fix}\n`);
  if (error.code === "SVC-1000" && !debug) streams.stderr.write("  --debug shows where it comes from.\n");
  if (debug) for (let at: unknown = error; at instanceof Error; at = at.cause) streams.stderr.write(`${at.stack ?? at.message}\n`);
}
