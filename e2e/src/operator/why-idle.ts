import type { TaskId } from "@iexec-ts/poco";
import { openScope } from "@iexec-ts/service";
import { startHttpFaultProxy, startRpcFaultProxy } from "@iexec-ts/testkit";
import type { Scenario } from "../scenario.ts";
import { inStrictPool } from "./doctor.ts";
import { EXIT, must, mustBe, mustEnd, mustShow, reasonsOf, type ShownReason } from "./expect.ts";
import type { Operator } from "./operator.ts";
import { ETHER, RLC, type World } from "./world.ts";

const LIMIT_MS = 180_000;
type Env = Readonly<Record<string, string>>;

/** Runs `use` while the operator's worker runs and is a member of its pool. */
async function withWorker<T>(world: World, operator: Operator, env: Env, signal: AbortSignal, use: () => Promise<T>): Promise<T> {
  const worker = operator.worker(env).start();
  try {
    await world.rig.until("the worker joins", async () => ((await operator.log()).includes("all set") ? true : undefined), signal);
    return await use();
  } finally {
    await worker.stop();
  }
}

function computes(world: World, operator: Operator, taskId: TaskId, signal: AbortSignal): Promise<true> {
  const looker = operator.worker();
  const started = () => looker.history(taskId).some(({ status }) => status === "COMPUTING");
  return world.rig.until("the task computes", () => (started() ? true : undefined), signal);
}

interface Expected {
  readonly id: string;
  readonly evidence: RegExp;
  /** Whether it is a fault of this machine; true unless told. */
  readonly blocks?: boolean;
}

/** The first reason is this one, with its evidence; the state of a running worker may lag a moment behind its cause. */
async function mustSay(
  world: World,
  operator: Operator,
  env: Env,
  { id, evidence, blocks = true }: Expected,
  signal: AbortSignal,
): Promise<ShownReason> {
  let seen = "";
  using patience = openScope([signal], { ms: 60_000 });
  const [reason, code] = await world.rig
    .until(
      `why-idle says ${id}`,
      async () => {
        const answer = await operator.json(["why-idle"], signal, { env });
        const reasons = reasonsOf(answer.data);
        const [first] = reasons;
        seen = reasons.map((each) => each.id).join();
        return first?.id === id ? ([first, answer.code] as const) : undefined;
      },
      patience.signal,
    )
    .catch((thrown: unknown) => {
      throw new Error(`${String(thrown)}; it says ${seen}`);
    });
  must(evidence.test(reason.evidence), `its evidence is "${reason.evidence}" instead of ${evidence}`);
  mustBe("blocks", reason.blocks, blocks);
  mustBe("the exit code", code, blocks ? EXIT.person : EXIT.ok);
  return reason;
}

interface Cause {
  readonly id: string;
  /** Of the worker and of the command alike. */
  readonly env?: (world: World, signal: AbortSignal) => Promise<Env> | Env;
  readonly operator?: (world: World, signal: AbortSignal) => Promise<Operator>;
  /** Undefined: no worker runs. */
  readonly running?: boolean;
  readonly expected: Expected;
}

const cause = ({ id, env, operator, running = true, expected }: Cause): Scenario<World> => ({
  id: `idle-${id}`,
  timeoutMs: LIMIT_MS,
  async run(world, signal) {
    const person = await (operator?.(world, signal) ?? world.operator());
    const settings = (await env?.(world, signal)) ?? {};
    const ask = () => mustSay(world, person, settings, expected, signal);
    const { text, evidence } = running ? await withWorker(world, person, settings, signal, ask) : await ask();
    return `${text}: ${evidence.slice(0, 160)}`;
  },
});

export const IDLE_SCENARIOS: readonly Scenario<World>[] = [
  cause({
    id: "no-wallet",
    operator: (world) => world.operator({ wallet: false }),
    running: false,
    expected: { id: "no-wallet", evidence: /SVC-1303/ },
  }),
  cause({ id: "not-running", running: false, expected: { id: "not-running", evidence: /nobody holds the lock/ } }),
  {
    id: "idle-no-task",
    short: true,
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      return withWorker(world, operator, {}, signal, async () => {
        await mustSay(world, operator, {}, { id: "no-task-for-us", evidence: /it never got one/, blocks: false }, signal);
        const seen = mustEnd(await operator.run(["why-idle"], signal), EXIT.ok);
        mustShow(seen, "Ready and waiting", "seen: ");
        return "Ready and waiting: nothing is wrong, exit 0";
      });
    },
  },
  {
    id: "idle-slots-full",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      return withWorker(world, operator, {}, signal, async () => {
        const taskId = await world.rig.buyOne("TEXT=busy SLEEP=20");
        await computes(world, operator, taskId, signal);
        const { text } = await mustSay(world, operator, {}, { id: "no-free-slot", evidence: /1 of 1 compute/, blocks: false }, signal);
        const seen = mustEnd(await operator.run(["why-idle"], signal), EXIT.ok);
        mustShow(seen, /Working/);
        await world.rig.untilStatus(taskId, "COMPLETED", signal, operator.address);
        return text;
      });
    },
  },
  {
    id: "idle-scheduler-down",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      const door = await startHttpFaultProxy(world.rig.network.schedulerUrl);
      const env = { IEXEC_CORE_URL: door.url };
      try {
        return await withWorker(world, operator, env, signal, async () => {
          door.faults.down = true;
          door.cutSockets();
          const { evidence } = await mustSay(world, operator, env, { id: "scheduler-unreachable", evidence: /WIR-1001/ }, signal);
          const { data } = await operator.json(["status"], signal, { env });
          mustBe("running", data.running, true);
          door.heal();
          await mustSay(world, operator, env, { id: "no-task-for-us", evidence: /./, blocks: false }, signal);
          return `${evidence}; and nothing any more once it is back`;
        });
      } finally {
        await door.stop();
      }
    },
  },
  {
    id: "idle-rpc-down",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      const node = await startRpcFaultProxy(world.rig.chain.rpcUrl);
      const env = { IEXEC_WORKER_OVERRIDE_BLOCKCHAIN_NODE_ADDRESS: node.url };
      try {
        return await withWorker(world, operator, env, signal, async () => {
          node.faults.down = true;
          node.cutSockets();
          const { evidence } = await mustSay(world, operator, env, { id: "chain-unreadable", evidence: /CHN-/ }, signal);
          node.heal();
          return evidence;
        });
      } finally {
        await node.stop();
      }
    },
  },
  {
    id: "idle-version-refused",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      const env = await inStrictPool(world, signal);
      const started = await operator.run(["start"], signal, { env });
      must(
        started.code === EXIT.person && started.text.includes("9.9.9"),
        `started in a pool of another version: ${started.text.slice(-300)}`,
      );
      const { code, data } = await operator.json(["why-idle"], signal, { env });
      mustBe("the exit code", code, EXIT.person);
      const [reason] = reasonsOf(data);
      must(
        reason?.id === "version-refused" && /requires 9\.9\.9/.test(reason.evidence),
        `why-idle says ${reasonsOf(data).map(({ id }) => id)}`,
      );
      return `start refuses; ${reason.text}: ${reason.evidence}`;
    },
  },
  cause({
    id: "low-disk",
    env: () => ({ IEXEC_WORKER_MIN_FREE_MIB: "900000000" }),
    expected: { id: "low-disk", evidence: /MiB in .*, 900000000 MiB are needed/ },
  }),
  cause({
    id: "out-of-gas",
    operator: (world) => world.operator({ funds: { stake: 10n * RLC } }),
    expected: { id: "out-of-gas", evidence: /0\.0 ETH there/ },
  }),
  cause({ id: "gas-above-cap", env: () => ({ IEXEC_GAS_PRICE_CAP: "1" }), expected: { id: "gas-above-cap", evidence: /the cap is/ } }),
  {
    id: "idle-stake-too-low",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator({ funds: { ether: ETHER, stake: RLC } });
      await world.doTask(operator, "TEXT=stake", signal);
      const { stake } = (await world.rig.chain.balancesOf([operator.address])).get(operator.address) ?? { stake: 0n };
      mustEnd(await operator.run(["wallet", "withdraw", `${stake - 1n} nRLC`, "--yes"], signal), EXIT.ok);
      return withWorker(world, operator, {}, signal, async () => {
        const expected = { id: "stake-too-low", evidence: /0\.000000001 RLC free, the last tasks of this pool locked 0\.3 RLC each/ };
        return (await mustSay(world, operator, {}, expected, signal)).evidence;
      });
    },
  },
  cause({
    id: "outside-hours",
    env: () => ({ IEXEC_WORKER_HOURS: "never" }),
    expected: { id: "outside-hours", evidence: /WRK-1531/ },
  }),
  {
    id: "idle-paused-and-draining",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      return withWorker(world, operator, {}, signal, async () => {
        mustEnd(await operator.run(["pause"], signal), EXIT.ok);
        const { text } = await mustSay(world, operator, {}, { id: "paused", evidence: /until `resume`/ }, signal);
        mustEnd(await operator.run(["resume"], signal), EXIT.ok);
        const taskId = await world.rig.buyOne("TEXT=last SLEEP=25");
        await computes(world, operator, taskId, signal);
        const drain = operator.at(["iexec-worker", "stop", "--drain", "--timeout", "2m"]);
        const reason = await mustSay(world, operator, {}, { id: "draining", evidence: /DRAIN/ }, signal);
        mustEnd(await drain.end(signal), EXIT.ok);
        await world.rig.untilStatus(taskId, "COMPLETED", signal, operator.address);
        return `${text}; ${reason.text}; the task was completed before it stopped`;
      });
    },
  },
  {
    id: "idle-policy-refuses",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      await operator.run(["init", "--no-input"], signal);
      return withWorker(world, operator, {}, signal, async () => {
        mustShow(mustEnd(await operator.run(["policy", "set", "minPrice", "1000 RLC"], signal), EXIT.ok), "1000");
        const taskId = await world.rig.buyOne("TEXT=cheap");
        const { evidence } = await mustSay(world, operator, {}, { id: "policy-refuses", evidence: /WRK-1530|least/ }, signal);
        mustEnd(await operator.run(["policy", "set", "minPrice", "0"], signal), EXIT.ok);
        const other = await world.operator();
        await withWorker(world, other, {}, signal, () => world.rig.untilStatus(taskId, "COMPLETED", signal, other.address));
        return `${evidence}; set while it ran; somebody else did the task`;
      });
    },
  },
];
