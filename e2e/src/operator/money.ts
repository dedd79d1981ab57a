import { type Address, lowerHex } from "@iexec-ts/poco";
import { BlockNotFoundError, createPublicClient, http, parseAbi, parseEventLogs } from "viem";
import { z } from "zod";
import type { Scenario } from "../scenario.ts";
import { EXIT, must, mustBe, mustEnd, mustShow } from "./expect.ts";
import { machineApp } from "./machine-image.ts";
import type { World } from "./world.ts";

const LIMIT_MS = 420_000;
const GOOD_TASKS = 19;
const SLOTS = "2";
/** gVisor hides the machine from an app: there the app would be right. */
const RUNC = { IEXEC_WORKER_CONTAINER_RUNTIME: "runc" };

/** Read here from the contract's own interface, not by the worker's code. @source IexecERC20Core, IexecEscrow */
const ABI = parseAbi([
  "event Transfer(address indexed from, address indexed to, uint256 value)",
  "event Lock(address owner, uint256 amount)",
  "event Unlock(address owner, uint256 amount)",
  "event Reward(address owner, uint256 amount, bytes32 ref)",
  "event Seize(address owner, uint256 amount, bytes32 ref)",
  "function viewAccount(address) view returns ((uint256 stake, uint256 locked))",
]);

interface Truth {
  readonly earned: bigint;
  readonly seized: bigint;
  readonly locked: bigint;
  readonly unlocked: bigint;
  readonly rewardedTasks: ReadonlyMap<string, bigint>;
  readonly seizedTasks: ReadonlyMap<string, bigint>;
  readonly gas: bigint;
  readonly stake: bigint;
  readonly lockedNow: bigint;
}

/** Everything the chain says about one account, block by block. */
async function truthOf({ rig }: World, wallet: Address): Promise<Truth> {
  const client = createPublicClient({ transport: http(rig.chain.rpcUrl) });
  const logs = parseEventLogs({
    abi: ABI,
    logs: await client.getLogs({ address: rig.chain.hub, fromBlock: 0n, toBlock: "latest" }),
    eventName: ["Lock", "Unlock", "Reward", "Seize"],
  });
  const mine = logs.filter(({ args }) => lowerHex(args.owner) === wallet);
  const sum = (name: string) => mine.filter(({ eventName }) => eventName === name).reduce((all, { args }) => all + args.amount, 0n);
  const byTask = (name: "Reward" | "Seize") => {
    const found = new Map<string, bigint>();
    for (const event of mine)
      if (event.eventName === name) found.set(event.args.ref, (found.get(event.args.ref) ?? 0n) + event.args.amount);
    return found;
  };
  let gas = 0n;
  const head = await client.getBlockNumber();
  for (let blockNumber = 0n; blockNumber <= head; blockNumber += 1n) {
    // The chain begins with a state that has no blocks of its own.
    const block = await client.getBlock({ blockNumber, includeTransactions: true }).catch((thrown: unknown) => {
      if (thrown instanceof BlockNotFoundError) return undefined;
      throw thrown;
    });
    for (const { hash, from } of block?.transactions ?? []) {
      if (lowerHex(from) !== wallet) continue;
      const receipt = await client.getTransactionReceipt({ hash });
      gas += receipt.gasUsed * receipt.effectiveGasPrice;
    }
  }
  const account = await client.readContract({ address: rig.chain.hub, abi: ABI, functionName: "viewAccount", args: [wallet] });
  return {
    earned: sum("Reward"),
    seized: sum("Seize"),
    locked: sum("Lock"),
    unlocked: sum("Unlock"),
    rewardedTasks: byTask("Reward"),
    seizedTasks: byTask("Seize"),
    gas,
    stake: account.stake,
    lockedNow: account.locked,
  };
}

const amount = z.string().transform(BigInt);
const sums = z.object({ key: z.string(), earnedNano: amount, seizedNano: amount, netNano: amount, gasWei: amount, tasks: z.number() });
const earningsSchema = z.object({ rows: z.array(sums), total: sums, reconciled: z.boolean(), notSettled: z.array(z.string()) });
const ledgerSchema = z.object({
  reconciled: z.boolean(),
  gap: z.object({ freeNano: amount, lockedNano: amount }),
  closing: z.object({ freeNano: amount, lockedNano: amount }),
  open: z.array(z.unknown()),
  entries: z.array(z.object({ kind: z.string(), amountNano: amount, freeChangeNano: amount, lockedChangeNano: amount })),
});

export const MONEY_SCENARIOS: readonly Scenario<World>[] = [
  {
    id: "earnings-and-ledger-of-20-tasks",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const { rig } = world;
      const operator = await world.operator();
      const worker = operator.worker({ IEXEC_WORKER_OVERRIDE_AVAILABLE_CPU_COUNT: SLOTS, ...RUNC }).start();
      const good = await rig.buy("TEXT=good", { volume: BigInt(GOOD_TASKS) });
      for (const taskId of good) await rig.untilChain(taskId, "COMPLETED", signal);
      for (const taskId of good) await rig.untilStatus(taskId, "COMPLETED", signal, operator.address);
      // Three machines with more memory than this one agree on another result.
      const app = await machineApp(world, signal);
      const bad = await rig.buyOne("", { app, trust: 3n });
      await rig.untilStatus(bad, "CONTRIBUTED", signal, operator.address);
      const others = await Promise.all([world.operator(), world.operator(), world.operator()]);
      const workers = others.map((other) => other.worker({ IEXEC_WORKER_TASK_MEMORY_MIB: "384", ...RUNC }).start());
      await rig.untilChain(bad, "COMPLETED", signal);
      await Promise.all([worker, ...workers].map((each) => each.stop()));

      const truth = await truthOf(world, operator.address);
      mustBe("tasks rewarded on chain", truth.rewardedTasks.size, GOOD_TASKS);
      mustBe("the task seized on chain", [...truth.seizedTasks.keys()].join(), bad);

      const byTask = earningsSchema.parse((await operator.json(["earnings", "--by", "task"], signal)).data);
      mustBe("tasks in earnings", byTask.rows.length, GOOD_TASKS + 1);
      for (const { key, earnedNano, seizedNano } of byTask.rows) {
        mustBe(`earned by ${key}`, earnedNano, truth.rewardedTasks.get(key) ?? 0n);
        mustBe(`seized of ${key}`, seizedNano, truth.seizedTasks.get(key) ?? 0n);
      }
      const byDay = earningsSchema.parse((await operator.json(["earnings"], signal)).data);
      for (const { total, reconciled, notSettled } of [byTask, byDay]) {
        mustBe("earned", total.earnedNano, truth.earned);
        mustBe("seized", total.seizedNano, truth.seized);
        mustBe("net", total.netNano, truth.earned - truth.seized);
        mustBe("gas", total.gasWei, truth.gas);
        mustBe("reconciled", reconciled, true);
        mustBe("not settled", notSettled.length, 0);
      }

      const ledger = ledgerSchema.parse((await operator.json(["ledger"], signal)).data);
      const of = (kind: string) => ledger.entries.filter((entry) => entry.kind === kind).reduce((all, entry) => all + entry.amountNano, 0n);
      mustBe("rewards in the ledger", of("reward"), truth.earned);
      mustBe("seizures in the ledger", of("seize"), truth.seized);
      mustBe("locks in the ledger", of("lock"), truth.locked);
      mustBe("unlocks in the ledger", of("unlock"), truth.unlocked);
      mustBe("free at the end", ledger.closing.freeNano, truth.stake);
      mustBe("locked at the end", ledger.closing.lockedNano, truth.lockedNow);
      mustBe(
        "free by the movements",
        ledger.entries.reduce((all, { freeChangeNano }) => all + freeChangeNano, 0n),
        truth.stake,
      );
      mustBe(
        "locked by the movements",
        ledger.entries.reduce((all, { lockedChangeNano }) => all + lockedChangeNano, 0n),
        truth.lockedNow,
      );
      mustBe("the gap", ledger.gap.freeNano + ledger.gap.lockedNano, 0n);
      must(ledger.reconciled, "the ledger is not reconciled");
      mustBe("open items", ledger.open.length, 0);

      const shown = mustEnd(await operator.run(["earnings"], signal), EXIT.ok);
      mustShow(shown, "reconciled to the nRLC");
      const piped = await operator.at(["bash", "-c", "iexec-worker ledger --csv | wc -l"]).end(signal);
      mustShow(piped, String(ledger.entries.length + 1));
      const score = mustEnd(await operator.run(["score"], signal), EXIT.ok);
      mustShow(score, /score +\d+/);
      return `${GOOD_TASKS} rewarded (${truth.earned} nRLC), 1 seized (${truth.seized} nRLC), ${truth.gas} wei of gas: earnings, ledger and chain agree to the last unit`;
    },
  },
];
