import { createHub, createRpcPool, type Hub, type RpcPool } from "@iexec-ts/chain";
import { lowerHex, sameHex } from "@iexec-ts/poco";
import { CodedError, hasCode, openScope, readKeystore, systemClock, systemRandom } from "@iexec-ts/service";
import { connectScheduler } from "@iexec-ts/wire";
import { privateKeyToAccount } from "viem/accounts";
import { schedulerUrl } from "../../config.ts";
import { CONTRIBUTE_GAS, REVEAL_GAS } from "../../replicate/gas-reserve.ts";
import { promisedStake, recentStake } from "../../wallet/locks.ts";
import type { Context } from "../context.ts";
import { announcedVersion, askScheduler, coinSymbol, networkFacts, withChain } from "../facts/chain-facts.ts";
import { briefCoins, exactDigits, gwei, rlc } from "../view/amounts.ts";
import { type Check, type DoctorState, failed, type Outcome, pass, skip, warn } from "./check.ts";
import { askTime, judgeClock } from "./clock-check.ts";

const NODE_MS = 6_000;
const LOGIN_MS = 15_000;
/** A node this far behind the others shows deadlines too late. */
const MAX_LAG_BLOCKS = 5n;

const fromError = (thrown: unknown): Outcome => {
  const error = CodedError.from(thrown);
  return failed(`${error.code} ${error.message}`, error.fix);
};

interface NodeLook {
  readonly url: string;
  readonly height: bigint | undefined;
  readonly latencyMs: number | undefined;
  readonly problem: string | undefined;
}

/** One node alone, so that the others cannot hide it. */
async function look(url: string, chainId: number, hub: `0x${string}`, signal: AbortSignal): Promise<NodeLook> {
  const shown = url.replace(/\/\/[^@/]*@/, "//").replace(/\?.*$/, "");
  let pool: RpcPool | undefined;
  using limit = openScope([signal], { ms: NODE_MS });
  try {
    pool = await createRpcPool({ urls: [url], chainId, expectedHub: hub, requestTimeoutMs: NODE_MS }, { clock: systemClock }, limit.signal);
    const [state] = pool.endpoints();
    return { url: shown, height: pool.head().number, latencyMs: state?.latencyMs, problem: state?.lastError };
  } catch (thrown) {
    const problem = thrown instanceof CodedError ? `${thrown.code} ${thrown.message}` : "no answer in time";
    return { url: shown, height: undefined, latencyMs: undefined, problem };
  } finally {
    await pool?.close();
  }
}

const onChain = async (
  context: Context,
  state: DoctorState,
  work: (facts: { hub: Hub; pool: RpcPool; symbol: string; workerpool: `0x${string}`; nodes: readonly string[] }) => Promise<Outcome>,
) =>
  withChain(context, state.local.journal, ({ hub, pool, symbol, network }) =>
    work({ hub, pool, symbol, workerpool: network.workerpool, nodes: network.nodes }),
  );

export const NETWORK_CHECKS: readonly Check[] = [
  {
    id: "scheduler",
    title: "scheduler",
    async run(context) {
      const url = schedulerUrl(context.settings);
      try {
        const { version, dialect } = await askScheduler(context);
        return pass(`${url}, version ${version}, ${dialect} dialect`);
      } catch (thrown) {
        context.signal.throwIfAborted();
        const error = CodedError.from(thrown);
        return failed(
          `${url}: ${error.message} (${error.code})`,
          "check IEXEC_CORE_URL, or IEXEC_CORE_HOST, IEXEC_CORE_PORT and IEXEC_CORE_PROTOCOL",
        );
      }
    },
  },
  {
    id: "pool-address",
    title: "workerpool",
    after: ["scheduler"],
    async run(context) {
      const { configuration } = await askScheduler(context);
      const named = lowerHex(configuration.workerPoolAddress);
      const expected = context.settings.poolAddress;
      if (expected === undefined) return warn(`${named}, the scheduler's own word`, `set POOL_ADDRESS=${named} once you know it is yours`);
      return sameHex(expected, named)
        ? pass(named)
        : failed(`the scheduler names ${named}, POOL_ADDRESS says ${expected}`, "correct one of them (WRK-1004)");
    },
  },
  {
    id: "version",
    title: "version",
    after: ["scheduler"],
    async run(context) {
      const { configuration } = await askScheduler(context);
      const required = configuration.requiredWorkerVersion;
      const ours = announcedVersion(context.settings);
      if (required === "" || required === ours) return pass(required === "" ? "the pool takes every version" : ours);
      return failed(
        `the pool requires ${required}, this worker announces ${ours}`,
        `set IEXEC_WORKER_ANNOUNCE_VERSION=${required} if the pool's operator agrees`,
      );
    },
  },
  {
    id: "allowed",
    title: "membership",
    after: ["scheduler", "version", "wallet-file", "wallet-password"],
    async run(context, { local }) {
      const { settings, signal } = context;
      if (local.running.kind === "running") {
        const link = local.running.page?.link;
        return link === undefined || link === "down"
          ? warn("the worker runs without a link", "iexec-worker why-idle")
          : pass(`the running worker's link is ${link}`);
      }
      if (settings.walletPassword === undefined) return skip("needs the wallet's password");
      const { privateKey } = await readKeystore(settings.walletPath, settings.walletPassword.reveal());
      using limit = openScope([signal], { ms: LOGIN_MS });
      try {
        const link = await connectScheduler(
          {
            url: schedulerUrl(settings),
            account: privateKeyToAccount(privateKey.reveal()),
            dialect: settings.dialect,
            version: announcedVersion(settings),
            signal: limit.signal,
          },
          { clock: systemClock, random: systemRandom },
        );
        await link.close();
        return pass("this wallet may log in");
      } catch (thrown) {
        signal.throwIfAborted();
        if (hasCode(thrown, "WIR-1101"))
          return failed(
            "this wallet is not on the pool's list",
            "ask the pool's operator to add the address of `iexec-worker wallet show`",
          );
        return fromError(thrown);
      }
    },
  },
  {
    id: "nodes",
    title: "nodes",
    async run(context, { local }) {
      const network = await networkFacts(context, local.journal);
      const nodes = await Promise.all(network.nodes.map((url) => look(url, network.chainId, network.hub, context.signal)));
      const best = nodes.reduce((most, { height = 0n }) => (height > most ? height : most), 0n);
      const text = nodes
        .map(({ url, height, latencyMs, problem }) =>
          height === undefined
            ? `${url}: ${problem}`
            : `${url}: block ${height}, ${best - height} behind${latencyMs === undefined ? "" : `, ${Math.round(latencyMs)} ms`}`,
        )
        .join("; ");
      const good = nodes.filter(({ height }) => height !== undefined && best - height <= MAX_LAG_BLOCKS);
      if (good.length === 0) return failed(text, "set IEXEC_WORKER_OVERRIDE_BLOCKCHAIN_NODE_ADDRESS to one or more nodes that work");
      if (good.length < nodes.length) return warn(`chain ${network.chainId}; ${text}`, "replace or remove the node that does not work");
      return pass(`chain ${network.chainId}; ${text}`);
    },
  },
  {
    id: "hub",
    title: "contracts",
    after: ["nodes"],
    run: (context, state) =>
      onChain(context, state, async ({ hub, pool, workerpool }) => {
        const record = await (await createHub(pool, hub.configuration.address)).workerpool(workerpool);
        return record === undefined
          ? failed(
              `workerpool ${workerpool} is not registered on chain ${pool.chainId}`,
              "check POOL_ADDRESS and the node's chain (WRK-1005)",
            )
          : pass(
              `hub ${hub.configuration.address}, workerpool "${record.description.slice(0, 40)}", stake ${record.workerStakeRatio}% of its price`,
            );
      }),
  },
  {
    id: "clock",
    title: "clock",
    after: ["nodes"],
    run: (context, state) =>
      onChain(context, state, async ({ pool, nodes }) => {
        const servers: readonly (readonly [string, string])[] = [
          ["the scheduler", schedulerUrl(context.settings)],
          ...nodes.map((url) => ["the node", url] as const),
        ];
        const sights = await Promise.all(servers.map(([who, url]) => askTime(who, url, context)));
        const ahead = Number(pool.head().timestamp) * 1_000 - context.clock.now().getTime();
        return judgeClock(
          sights.filter((sight) => sight !== undefined),
          ahead,
        );
      }),
  },
  {
    id: "stake",
    title: "stake",
    after: ["nodes", "wallet-file"],
    run: (context, state) =>
      onChain(context, state, async ({ hub }) => {
        const { wallet, journal } = state.local;
        if (wallet === undefined) return skip("no wallet");
        const { stake, locked } = await hub.account(wallet);
        const promised = promisedStake(journal);
        const needed = recentStake(journal);
        const seen = `${rlc(stake)} free, ${rlc(locked)} locked`;
        if (needed > 0n && stake - promised < needed)
          return failed(
            `${seen}; the last tasks took ${rlc(needed)} each`,
            `iexec-worker wallet deposit ${exactDigits(needed + promised - stake, "RLC")}`,
          );
        if (needed === 0n && stake === 0n)
          return warn(seen, "iexec-worker wallet deposit AMOUNT", "only pools without stake give tasks to such a worker");
        return pass(seen);
      }),
  },
  {
    id: "gas",
    title: "gas",
    after: ["nodes", "wallet-file"],
    run: (context, state) =>
      onChain(context, state, async ({ hub, pool }) => {
        const { wallet } = state.local;
        if (wallet === undefined) return skip("no wallet");
        const symbol = coinSymbol(pool.chainId);
        const [balance, price] = await Promise.all([hub.nativeBalance(wallet), pool.client.getGasPrice()]);
        const cost = (CONTRIBUTE_GAS + REVEAL_GAS) * price;
        const cap = context.settings.gasPriceCap;
        if (price === 0n) return pass("gas is free on this chain");
        const seen = `${briefCoins(balance, symbol)}, ${balance / cost} tasks at ${gwei(price)}`;
        if (price > cap)
          return warn(`${gwei(price)} now, above the cap of ${gwei(cap)}: transactions wait`, "raise IEXEC_GAS_PRICE_CAP, or wait");
        return balance < cost ? failed(seen, `send ${symbol} to ${wallet}`) : pass(seen);
      }),
  },
];
