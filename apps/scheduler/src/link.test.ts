import { systemClock, systemRandom } from "@iexec-ts/service";
import { connectScheduler, type SchedulerLink, type StatusReport, type TaskNotification } from "@iexec-ts/wire";
import { toHex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Scheduler } from "./start.ts";
import { digestOf } from "./test/hand-worker.ts";
import { CID, type Ground, LINK, openGround, openWorld, type World } from "./test/world.ts";

let ground: Ground;
let world: World;
let scheduler: Scheduler;
let link: SchedulerLink | undefined;
beforeAll(async () => {
  ground = await openGround();
});
afterAll(async () => {
  await ground.close();
});
beforeEach(async () => {
  world = await openWorld(ground);
  scheduler = await world.scheduler();
});
afterEach(async () => {
  await link?.close();
  await world.close();
});

/** Notifications as they come, to be waited for by name. */
function mailbox(from: SchedulerLink) {
  const heard: TaskNotification[] = [];
  let poke: () => void = () => undefined;
  from.onNotification((notification) => {
    heard.push(notification);
    poke();
  });
  return async (action: TaskNotification["action"]): Promise<TaskNotification> => {
    for (;;) {
      const found = heard.find((notification) => notification.action === action);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        poke = resolve;
      });
    }
  };
}

describe.each(["native", "v9"] as const)("a worker that speaks %s over our own link", (dialect) => {
  test("is led through a whole task by answers and notifications", async () => {
    const account = privateKeyToAccount(
      toHex(world.chain.account(dialect === "native" ? 40 : 41).getHdKey().privateKey ?? new Uint8Array(32)),
    );
    await world.chain.deposit(account.address, 100_000_000_000n);
    const mine = await connectScheduler(
      { url: scheduler.url, account, dialect, version: "0.0.0" },
      { clock: systemClock, random: systemRandom },
    );
    link = mine;
    expect(mine.configuration.workerPoolAddress).toBe(world.workerpool);
    expect(mine.chain).toMatchObject({ chainId: world.chain.chainId, chainNodeUrl: world.chain.rpcUrl });
    await mine.register({
      name: "linked",
      walletAddress: account.address,
      os: "Linux",
      cpu: "amd64",
      cpuNb: 1,
      memorySize: 4,
      gpuEnabled: false,
      teeEnabled: false,
      tdxEnabled: false,
    });
    const received = mailbox(mine);
    await world.buy(1n);
    const stop = new AbortController();
    let assignment = await mine.demand({ blockNumber: 1n }, stop.signal);
    while (assignment === undefined) assignment = await mine.demand({ blockNumber: 1n }, stop.signal);
    const { chainTaskId: taskId } = assignment.authorization;
    mine.subscribe(taskId);
    let seq = 0;
    const report = async (status: StatusReport["status"], more: Partial<StatusReport> = {}) => {
      seq += 1;
      return await mine.report({ taskId, seq, status, at: new Date(), ...more });
    };
    for (const status of ["RUNNING", "APP_DOWNLOADING", "APP_DOWNLOADED", "DATA_DOWNLOADING", "DATA_DOWNLOADED", "COMPUTING"] as const)
      await report(status);
    expect((await report("COMPUTED", { details: { exitCode: 0, computeLogs: { stdout: "out", stderr: "" } } })).action).toBe(
      "PLEASE_CONTRIBUTE",
    );
    await report("CAN_CONTRIBUTE");
    await report("CONTRIBUTING");
    const contributed = await world.chain.contribute(account, assignment.authorization, digestOf(1));
    await report("CONTRIBUTED", {
      details: { chainReceipt: { blockNumber: contributed.blockNumber, txHash: contributed.transactionHash } },
    });
    expect((await received("PLEASE_REVEAL")).blockNumber).toBe(contributed.blockNumber);
    await report("REVEALING");
    const revealed = await world.chain.reveal(account, taskId, digestOf(1));
    await report("REVEALED", { details: { chainReceipt: { blockNumber: revealed.blockNumber, txHash: revealed.transactionHash } } });
    await received("PLEASE_UPLOAD");
    await report("RESULT_UPLOADING");
    world.stored.set(taskId, CID);
    await report("RESULT_UPLOADED", { details: { resultLink: LINK } });
    await received("PLEASE_COMPLETE");
    await report("COMPLETED");
    const view = await world.until(scheduler, taskId, "closed", ({ closed }) => closed);
    expect(view.replicates[0]?.history.map(({ status }) => status)).toEqual([
      "CREATED",
      "RUNNING",
      "APP_DOWNLOADING",
      "APP_DOWNLOADED",
      "DATA_DOWNLOADING",
      "DATA_DOWNLOADED",
      "COMPUTING",
      "COMPUTED",
      "CAN_CONTRIBUTE",
      "CONTRIBUTING",
      "CONTRIBUTED",
      "REVEALING",
      "REVEALED",
      "RESULT_UPLOAD_REQUESTED",
      "RESULT_UPLOADING",
      "RESULT_UPLOADED",
      "COMPLETED",
    ]);
  });
});
