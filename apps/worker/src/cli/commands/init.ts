import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { lowerHex, sameHex } from "@iexec-ts/poco";
import { CodedError, writeDurably } from "@iexec-ts/service";
import { schedulerUrl } from "../../config.ts";
import { checkHost } from "../../host-check.ts";
import { modeOf, verifyBackup, walletCreate, walletImport } from "../../wallet/keys.ts";
import { openWallet } from "../../wallet/password.ts";
import { type Context, type Input, textOption } from "../context.ts";
import { announcedVersion, askScheduler, withChain } from "../facts/chain-facts.ts";
import { localFacts } from "../facts/local-facts.ts";
import { EXIT, type Report } from "../report.ts";
import { defaultConfigPath, loadOperatorConfig, SETTINGS } from "../settings.ts";
import { coins, rlc } from "../view/amounts.ts";

interface Step {
  readonly level: "ok" | "warn" | "bad" | "note";
  readonly text: string;
}

/**
 * Leads from nothing to a config file that `start` takes: the pool, the wallet, what to fund. Each question has a flag, so that
 * `--no-input` makes the same file.
 *
 * Errors: WRK-1002 too few CPUs, WRK-2014 the config file exists, WRK-2002, WIR-…, WRK-1004, SVC-13xx.
 * SIDE EFFECTS: may create a wallet; writes the config file.
 */
export async function init(context: Context, input: Input): Promise<Report> {
  const path = textOption(input, "output") ?? defaultConfigPath(context.env);
  if ((await modeOf(path)) !== undefined) throw new CodedError("WRK-2014", { path });
  checkHost();
  const steps: Step[] = [];
  const asked = await askForPool(context);
  const pool = await checkPool(asked, steps);
  await provideWallet(asked, steps);
  const wallet = (await localFacts(asked)).wallet;
  if (wallet !== undefined) await checkFunds(asked, wallet, steps);
  const values = { ...givenValues(asked), ...(pool === undefined ? {} : { poolAddress: pool }) };
  await writeConfig(path, values);
  const ready = steps.every(({ level }) => level !== "bad");
  return {
    data: {
      config: path,
      wallet: wallet ?? null,
      workerpool: pool ?? null,
      ready,
      settings: values,
      steps: steps.map((step) => ({ ...step })),
    },
    text: (style) =>
      [...steps.map(({ level, text }) => `${style.mark(level)} ${text}`), `${style.mark("ok")} wrote ${style.strong(path)}`].join("\n"),
    exit: ready ? EXIT.ok : EXIT.operator,
    next: [
      ...(ready ? [] : ["iexec-worker wallet balance"]),
      `iexec-worker doctor --config ${path}`,
      `iexec-worker start --config ${path}`,
    ],
  };
}

/** The same context with one more setting, as if it had been given as a flag. */
function withFlag(context: Context, flag: string): Context {
  const settingsArgv = [...context.settingsArgv, flag];
  const config = loadOperatorConfig(settingsArgv, context.env);
  return { ...context, settingsArgv, config, settings: config.values };
}

async function askForPool(context: Context): Promise<Context> {
  const known = context.config.explainAll().some(({ key, origin }) => ["coreUrl", "coreHost"].includes(key) && origin.source !== "default");
  if (known || !context.prompt.available) return context;
  const url = await context.prompt.ask("Address of the workerpool's scheduler (https://...):", "--core-url");
  return withFlag(context, `--core-url=${url}`);
}

/** Errors: WRK-1004 when the scheduler names another pool than the settings; WIR-… when there is no scheduler. */
async function checkPool(context: Context, steps: Step[]): Promise<string | undefined> {
  const url = schedulerUrl(context.settings);
  const { configuration, version, dialect, chain } = await askScheduler(context);
  const named = lowerHex(configuration.workerPoolAddress);
  const expected = context.settings.poolAddress;
  if (expected !== undefined && !sameHex(expected, named)) throw new CodedError("WRK-1004", { url, named, expected });
  steps.push({
    level: "ok",
    text: `scheduler ${url} answers: version ${version}, ${dialect} dialect, chain ${chain?.chainId ?? "not said"}`,
  });
  const required = configuration.requiredWorkerVersion;
  if (required !== "" && required !== announcedVersion(context.settings))
    steps.push({
      level: "bad",
      text: `the pool requires worker version ${required}; set IEXEC_WORKER_ANNOUNCE_VERSION if its operator agrees`,
    });
  if (expected === undefined && context.prompt.available) {
    const typed = await context.prompt.ask(`It speaks for workerpool ${named}. Is that yours? Type yes:`, "--pool-address");
    if (typed !== "yes") throw new CodedError("WRK-2004", { what: "the workerpool was not confirmed" });
  } else if (expected === undefined) {
    steps.push({ level: "warn", text: `workerpool ${named} is the scheduler's own word; compare it with what you were given` });
  } else steps.push({ level: "ok", text: `workerpool ${named}` });
  return named;
}

async function provideWallet(context: Context, steps: Step[]): Promise<void> {
  const { walletPath } = context.settings;
  const local = await localFacts(context);
  if (local.walletProblem === undefined) {
    const opened = context.settings.walletPassword !== undefined || context.prompt.available;
    if (opened) await openWallet(context);
    steps.push({ level: "ok", text: `wallet ${walletPath} is ${local.wallet ?? "there"}${opened ? " and opens with the password" : ""}` });
    return;
  }
  if (local.walletProblem.code !== "SVC-1303") throw local.walletProblem;
  const choice = context.prompt.available
    ? await context.prompt.ask(`There is no wallet at ${walletPath}. Type create or import:`, "--wallet-path")
    : "create";
  if (choice !== "create" && choice !== "import") throw new CodedError("WRK-2004", { what: "neither create nor import was typed" });
  const { data } = choice === "create" ? await walletCreate(context) : await walletImport(context);
  steps.push({ level: "ok", text: `wallet ${String(data.address)} written to ${walletPath}` });
  steps.push(await backUp(context));
}

const LATER = "later";

/** The person makes a copy; that it opens, and that the password was kept, is proved at once. A copy that is no good is asked for again. */
async function backUp(context: Context): Promise<Step> {
  const advice: Step = {
    level: "warn",
    text: "back it up now, file and password apart: iexec-worker wallet check-backup PATH_OF_THE_COPY",
  };
  if (!context.prompt.available) return advice;
  // Bounded: each round waits for an answer of the person who is asked, who may leave.
  for (;;) {
    const copy = await context.prompt.ask(
      `Copy ${context.settings.walletPath} to another disk now. Type the path of the copy, or ${LATER}:`,
      "--no-input",
    );
    if (copy === LATER) return advice;
    try {
      const { address, matches } = await verifyBackup(context, copy);
      if (matches) return { level: "ok", text: `the copy ${copy} opens with the password` };
      context.tell(`It is another wallet: ${address}.`);
    } catch (thrown) {
      context.signal.throwIfAborted();
      const error = CodedError.from(thrown);
      if (!error.code.startsWith("SVC-13") && error.code !== "WRK-2015") throw error;
      context.tell(`${error.code}: ${error.message}`);
    }
  }
}

async function checkFunds(context: Context, wallet: `0x${string}`, steps: Step[]): Promise<void> {
  try {
    await withChain(context, undefined, async ({ hub, symbol }) => {
      const [native, inWallet, account] = await Promise.all([hub.nativeBalance(wallet), hub.rlcBalance(wallet), hub.account(wallet)]);
      steps.push(
        native === 0n
          ? { level: "bad", text: `send ${symbol} for gas to ${wallet}` }
          : { level: "ok", text: `${coins(native, symbol)} for gas` },
      );
      steps.push(
        account.stake > 0n
          ? { level: "ok", text: `${rlc(account.stake)} of free stake` }
          : {
              level: "warn",
              text: `no stake yet: send RLC to ${wallet} (${rlc(inWallet)} there), then iexec-worker wallet deposit AMOUNT`,
            },
      );
    });
  } catch (thrown) {
    context.signal.throwIfAborted();
    steps.push({ level: "warn", text: `the balances could not be read: ${CodedError.from(thrown).message}` });
  }
}

/** What was given by flag or environment, secrets by the path of their file only. */
function givenValues({ config, env, settingsArgv }: Context): Readonly<Record<string, string>> {
  const values: Record<string, string> = {};
  for (const { key, value, origin, setting } of config.explainAll()) {
    if (origin.source === "default") continue;
    if (!setting.secret) {
      values[key] = value;
      continue;
    }
    const flag = settingsArgv.findLast((word) => word.startsWith(`${setting.flag}-file=`));
    const path = flag?.slice(flag.indexOf("=") + 1) ?? (origin.name.endsWith("_FILE") ? env[origin.name] : undefined);
    if (path !== undefined && path !== "-") values[`${key}File`] = path;
  }
  if (!("walletPath" in values) && SETTINGS.walletPath !== undefined) values.walletPath = config.explain("walletPath").value;
  return values;
}

async function writeConfig(path: string, values: Readonly<Record<string, string>>): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeDurably(path, (file) => file.writeFile(`${JSON.stringify(values, undefined, 2)}\n`), { exclusive: true });
}
