import type { Rig } from "../rig/rig.ts";
import type { Scenario } from "../scenario.ts";
import { type Plot, play } from "./play.ts";

const LIMIT_MS = 240_000;
/** A port where nothing listens. */
const NOBODY = "http://127.0.0.1:9";

const scenario = (id: string, plot: Plot, short = false): Scenario<Rig> => ({
  id,
  short,
  timeoutMs: LIMIT_MS,
  run: (rig, signal) => play(rig, plot, signal),
});

/** Nodes that die, lie, lag or lose answers. */
export const NODE_SCENARIOS: readonly Scenario<Rig>[] = [
  scenario(
    "rpc-down-during-reveal",
    {
      async act({ untilActive, untilPooled, until, weather, node, rig, taskId, signal }) {
        await untilActive();
        await untilPooled("contribute");
        node.faults.down = true;
        node.cutSockets();
        await weather.mine();
        await rig.untilChain(taskId, "REVEALING", signal);
        await weather.mine(3);
        const task = await rig.network.hub.task(taskId);
        node.heal();
        await untilPooled("reveal");
        const left = await until("the time left", async () => {
          const { timestamp } = await rig.chain.client.getBlock();
          return task === undefined ? undefined : task.revealDeadline - timestamp;
        });
        return `blind from the contribution until after the consensus; revealed ${left} s before the deadline`;
      },
    },
    true,
  ),
  scenario("rpc-down-while-computing", {
    async act({ untilActive, untilPooled, until, node, worker, taskId }) {
      await untilActive();
      await until("COMPUTING", () => worker.history(taskId).find(({ status }) => status === "COMPUTING"));
      node.faults.down = true;
      node.cutSockets();
      await until("COMPUTED", () => worker.history(taskId).find(({ status }) => status === "COMPUTED"));
      node.heal();
      await untilPooled("contribute");
      return "the node came back without a new block: contributed all the same";
    },
  }),
  scenario("rpc-dead-primary", {
    nodes: ({ node }) => [NOBODY, node],
    act: async ({ untilActive }) => {
      await untilActive();
      return "the first of two nodes never answered";
    },
  }),
  scenario("rpc-primary-dies", {
    nodes: ({ node, second }) => [node, second],
    async act({ untilActive, untilPooled, weather, node }) {
      await untilActive();
      await untilPooled("contribute");
      node.faults.down = true;
      node.cutSockets();
      await weather.mine();
      await untilPooled("reveal");
      return "the first node died for good after the contribution was sent";
    },
  }),
  scenario("stale-node", {
    nodes: ({ node, second }) => [node, second],
    async act({ untilActive, untilPooled, until, weather, node, second }) {
      await untilActive();
      second.faults.staleAt = await weather.height();
      await untilPooled("contribute");
      await weather.mine(2);
      await untilPooled("reveal");
      node.faults.down = true;
      node.cutSockets();
      const asked = second.calls.length;
      await until("the stale node is looked at", () => (second.calls.length > asked + 10 ? true : undefined));
      await weather.mine(2);
      node.heal();
      return `with only a node stuck at ${second.faults.staleAt} for a while nothing was concluded from it`;
    },
  }),
  scenario("wrong-chain-id", {
    nodes: ({ node, second }) => [node, second],
    prepare: ({ node }) => {
      node.faults.chainId = 1;
    },
    async act({ untilActive, untilPooled, node }) {
      await untilActive();
      await untilPooled("contribute");
      const sent = node.calls.filter((method) => method === "eth_sendRawTransaction").length;
      if (sent > 0) throw new Error("a node of another chain was given a transaction");
      return "the first node is of another chain: it was asked who it is and nothing else";
    },
  }),
  scenario("send-answer-lost", {
    async act({ untilActive, untilPooled, weather, node, rig, taskId, signal }) {
      await untilActive();
      node.faults.sendRawTransaction = "lost-answer";
      await untilPooled("contribute");
      await weather.resume();
      await rig.untilStatus(taskId, "REVEALED", signal);
      return "the node took both transactions and never said so";
    },
  }),
  scenario("send-refused-once", {
    async act({ untilActive, untilPooled, until, node }) {
      await untilActive();
      node.faults.sendRawTransaction = "refuse";
      await until("a refusal", () => (node.calls.includes("eth_sendRawTransaction") ? true : undefined));
      node.heal();
      await untilPooled("contribute");
      return "refused at first, sent again with the same bytes";
    },
  }),
  scenario("send-dropped", {
    async act({ untilActive, untilPooled, until, weather, node }) {
      await untilActive();
      node.faults.sendRawTransaction = "drop";
      await until("a lie", () => (node.calls.includes("eth_sendRawTransaction") ? true : undefined));
      node.heal();
      await weather.mine(4);
      await untilPooled("contribute");
      return "accepted and forgotten by the node: replaced";
    },
  }),
  scenario("receipts-late", {
    async act({ untilActive, untilPooled, until, weather, node }) {
      await untilActive();
      await untilPooled("contribute");
      node.faults.nullReceipts = true;
      await weather.mine();
      await until("the receipt is asked for", () =>
        node.calls.filter((m) => m === "eth_getTransactionReceipt").length > 2 ? true : undefined,
      );
      node.heal();
      await untilPooled("reveal");
      return "the node had counted the transaction before it showed its receipt";
    },
  }),
];
