import type { Tale } from "./tale.ts";

/** Tales in which a worker dies, freezes, or finds that the chain went on without it. */
export const TROUBLE_TALES: readonly Tale[] = [
  {
    name: "stake-withdrawn",
    story: "while the worker is down after computing, its owner withdraws the stake",
    shows: ["CANT_CONTRIBUTE_SINCE_STAKE_TOO_LOW"],
    async tell(world, signal) {
      const worker = await world.diesAt("COMPUTED");
      const taskId = await world.rig.buyOne("TEXT=poor");
      await world.died(worker, signal);
      await world.withdrawStake(worker);
      worker.start();
      await world.seen(taskId, "CANT_CONTRIBUTE_SINCE_STAKE_TOO_LOW", signal);
      return [taskId];
    },
  },
  {
    name: "down-past-the-deadline",
    story: "the worker is down from its computation until 7 periods after the purchase",
    shows: ["CANT_CONTRIBUTE_SINCE_AFTER_DEADLINE"],
    async tell(world, signal) {
      const worker = await world.diesAt("COMPUTED");
      const taskId = await world.rig.buyOne("TEXT=late");
      await world.died(worker, signal);
      await world.warpTo((await world.onChain(taskId)).contributionDeadline);
      worker.start();
      await world.seen(taskId, "CANT_CONTRIBUTE_SINCE_AFTER_DEADLINE", signal);
      return [taskId];
    },
  },
  {
    name: "left-behind",
    story: "trust 3: two workers die, two others reach the consensus, the first two come back before the task is over",
    shows: ["WORKER_LOST", "CANT_CONTRIBUTE_SINCE_TASK_NOT_ACTIVE", "ABORTED_ON_CONSENSUS_REACHED"],
    async tell(world, signal) {
      const computing = await world.diesAt("COMPUTING");
      const computed = await world.diesAt("COMPUTED");
      const taskId = await world.rig.buyOne("TEXT=consensus", { trust: 3n });
      for (const worker of [computing, computed]) await world.died(worker, signal);
      for (const worker of [computing, computed]) await world.seen(taskId, "WORKER_LOST", signal, worker);
      (await world.fresh()).start();
      const holdsBack = await world.diesAt("CONTRIBUTED");
      await world.rig.untilChain(taskId, "REVEALING", signal);
      await world.died(holdsBack, signal);
      computing.start();
      computed.start();
      await world.seen(taskId, "ABORTED_ON_CONSENSUS_REACHED", signal, computing);
      await world.seen(taskId, "CANT_CONTRIBUTE_SINCE_TASK_NOT_ACTIVE", signal, computed);
      holdsBack.start();
      await world.seen(taskId, "COMPLETED", signal, holdsBack);
      return [taskId];
    },
  },
  {
    name: "twin",
    story: "another machine with the same wallet contributes while this one is down",
    shows: ["CANT_CONTRIBUTE_SINCE_CONTRIBUTION_ALREADY_SET"],
    async tell(world, signal) {
      const worker = await world.diesAt("COMPUTED");
      const taskId = await world.rig.buyOne("TEXT=mine");
      await world.died(worker, signal);
      const replicate = worker.journal()?.replicates.find((one) => one.taskId === taskId);
      if (replicate === undefined) throw new Error("the journal does not have the task");
      await world.rig.chain.contribute(await world.keyOf(worker), replicate.authorization, `0x${"77".repeat(32)}`);
      worker.start();
      await world.seen(taskId, "CANT_CONTRIBUTE_SINCE_CONTRIBUTION_ALREADY_SET", signal);
      const code = await world.ended(worker, signal);
      if (code !== 3) throw new Error(`a worker whose wallet somebody else uses went on, or ended with ${code}`);
      return [taskId];
    },
  },
  {
    name: "contribution-mined-too-late",
    story: "the contribution waits in the node's pool until its deadline has passed, and reverts",
    shows: ["CONTRIBUTE_FAILED"],
    async tell(world, signal) {
      const worker = await world.diesAt("CAN_CONTRIBUTE");
      const taskId = await world.rig.buyOne("TEXT=held");
      await world.died(worker, signal);
      const { contributionDeadline } = await world.onChain(taskId);
      await world.holdBlocks();
      worker.start();
      await world.held(signal);
      await world.mineHeldAt(contributionDeadline);
      await world.seen(taskId, "CONTRIBUTE_FAILED", signal);
      await world.seen(taskId, "CANT_CONTRIBUTE_SINCE_AFTER_DEADLINE", signal);
      return [taskId];
    },
  },
  {
    name: "reveal-mined-too-late",
    story: "the reveal waits in the node's pool until its deadline has passed, and reverts",
    shows: ["REVEAL_FAILED"],
    async tell(world, signal) {
      const worker = await world.diesAt("CONTRIBUTED");
      const taskId = await world.rig.buyOne("TEXT=held");
      await world.died(worker, signal);
      await world.rig.untilChain(taskId, "REVEALING", signal);
      const { revealDeadline } = await world.onChain(taskId);
      await world.holdBlocks();
      worker.start();
      await world.held(signal);
      await world.mineHeldAt(revealDeadline);
      await world.seen(taskId, "REVEAL_FAILED", signal);
      return [taskId];
    },
  },
  {
    name: "reopened",
    story: "trust 3: after both contributions one worker is frozen and one is down for 2 periods, and the task is reopened",
    shows: ["CANT_REVEAL", "REVEAL_TIMEOUT"],
    async tell(world, signal) {
      const frozen = (await world.fresh()).start();
      const taskId = await world.rig.buyOne("TEXT=twice", { trust: 3n });
      await world.seen(taskId, "CONTRIBUTED", signal, frozen);
      frozen.freeze();
      const down = await world.diesAt("CONTRIBUTED");
      await world.died(down, signal);
      await world.rig.untilChain(taskId, "REVEALING", signal);
      await world.warpTo((await world.onChain(taskId)).revealDeadline);
      await world.rig.untilChain(taskId, "ACTIVE", signal);
      frozen.thaw();
      down.start();
      await world.seen(taskId, "CANT_REVEAL", signal, frozen);
      await world.rig.until(
        "REVEAL_TIMEOUT in the journal",
        () => (down.history(taskId).some(({ status }) => status === "REVEAL_TIMEOUT") ? true : undefined),
        signal,
      );
      await world.seen(taskId, "REVEAL_TIMEOUT", signal, down);
      return [taskId];
    },
  },
  {
    name: "silent-uploader",
    story: "the worker that should upload is down, then comes back",
    shows: ["RESULT_UPLOAD_REQUEST_FAILED", "RECOVERING"],
    async tell(world, signal) {
      const worker = await world.diesAt("REVEALED");
      const taskId = await world.rig.buyOne("TEXT=silent");
      await world.died(worker, signal);
      await world.seen(taskId, "RESULT_UPLOAD_REQUEST_FAILED", signal);
      worker.start();
      await world.seen(taskId, "RECOVERING", signal);
      await world.seen(taskId, "COMPLETED", signal);
      return [taskId];
    },
  },
];
