import { CodedError } from "@iexec-ts/service";
import { schedulerUrl } from "../../config.ts";
import { freeMib } from "../../host-check.ts";
import { CONTRIBUTE_GAS, REVEAL_GAS } from "../../replicate/gas-reserve.ts";
import { POLICY_CAUSE } from "../../session/intake.ts";
import { promisedStake, recentStake } from "../../wallet/locks.ts";
import { announcedVersion, askScheduler } from "./chain-facts.ts";
import type { FactSources } from "./fact-sources.ts";
import type { IdleFacts } from "./idle-reasons.ts";
import type { LocalFacts } from "./local-facts.ts";

const textOf = (thrown: unknown): string => {
  const error = CodedError.from(thrown);
  return `${error.message} (${error.code})`;
};

/** SIDE EFFECTS: asks the worker's page, the scheduler and the nodes, all at once. */
export async function gatherIdleFacts(context: FactSources): Promise<IdleFacts> {
  const { settings, signal } = context;
  const local = await context.local();
  const [scheduler, chain, free] = await Promise.all([
    schedulerFacts(context),
    chainFacts(context, local),
    freeMib(settings.baseDir).catch(() => undefined),
  ]);
  signal.throwIfAborted();
  const { running, journal } = local;
  const page = running.kind === "running" ? running.page : undefined;
  const last = journal?.replicates.at(-1);
  return {
    openTasks: (journal?.replicates ?? []).filter(({ closedAt }) => closedAt === undefined).length,
    wallet: { problem: local.walletProblem === undefined ? undefined : textOf(local.walletProblem) },
    running: { yes: running.kind === "running", holder: running.kind === "running" ? running.holder : undefined },
    page:
      page === undefined
        ? undefined
        : { link: page.link, linkSince: page.linkSince, halted: page.halted ?? undefined, slots: page.slots, slotsInUse: page.slotsInUse },
    doing: running.kind === "running" ? (running.doing ?? page?.doing) : undefined,
    pause: journal?.pause,
    scheduler,
    disk: { freeMib: free, neededMib: settings.minFreeMib, path: settings.baseDir },
    chain,
    lastTask:
      last === undefined
        ? undefined
        : {
            at: last.updatedAt,
            status: last.status,
            refused: journal?.history(last.taskId).find(({ cause }) => cause === POLICY_CAUSE)?.details?.errorMessage,
          },
  };
}

async function schedulerFacts(context: FactSources): Promise<IdleFacts["scheduler"]> {
  const url = schedulerUrl(context.settings);
  const announced = announcedVersion(context.settings);
  try {
    const { configuration } = await askScheduler(context);
    return { url, problem: undefined, required: configuration.requiredWorkerVersion, announced };
  } catch (thrown) {
    return { url, problem: textOf(thrown), required: "", announced };
  }
}

async function chainFacts(context: FactSources, { wallet, journal }: LocalFacts): Promise<IdleFacts["chain"]> {
  if (wallet === undefined) return { problem: "it is not known which wallet to look at" };
  try {
    return await context.chain(journal, async ({ hub, pool, symbol }) => {
      const [account, native, gasPrice] = await Promise.all([hub.account(wallet), hub.nativeBalance(wallet), pool.client.getGasPrice()]);
      return {
        problem: undefined,
        free: account.stake,
        promised: promisedStake(journal),
        recentStake: recentStake(journal),
        native,
        symbol,
        gasPrice,
        gasCap: context.settings.gasPriceCap,
        gasForTask: (CONTRIBUTE_GAS + REVEAL_GAS) * gasPrice,
      };
    });
  } catch (thrown) {
    return { problem: textOf(thrown) };
  }
}
