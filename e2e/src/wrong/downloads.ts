import { type ContributedFailure, errorResultText, parseResultLink, type ReplicateStatus, type TaskId } from "@iexec-ts/poco";
import { freePort } from "@iexec-ts/service";
import { hexToString } from "viem";
import type { Scenario } from "../scenario.ts";
import type { World } from "./world.ts";
import { fileInZip } from "./zip.ts";

const DEADLINE_MS = 240_000;
const PRICE = 1_000_000n;

/** The requester gets, completed and paid for, an explanation instead of silence. @source compute.md 2.6 */
async function requireErrorResult(
  { rig }: World,
  taskId: TaskId,
  failed: ReplicateStatus,
  cause: ContributedFailure,
  signal: AbortSignal,
): Promise<string> {
  const worker = rig
    .worker()
    .start({ IEXEC_WORKER_DOCKER_IMAGE_MIN_PULL_TIMEOUT: "10s", IEXEC_WORKER_DOCKER_IMAGE_MAX_PULL_TIMEOUT: "60s" });
  try {
    await rig.untilStatus(taskId, "COMPLETED", signal, worker.address);
    const statuses = worker.history(taskId);
    const found = statuses.find(({ status }) => status === failed);
    if (found?.cause !== cause) throw new Error(`${failed} with cause ${found?.cause}: ${statuses.map((s) => s.status).join(" ")}`);
    const task = await rig.network.hub.task(taskId);
    if (task?.status !== "COMPLETED") throw new Error(`the task is ${task?.status} on chain`);
    const link = parseResultLink(hexToString(task.results));
    if (link?.storage !== "ipfs") throw new Error("no IPFS link on chain");
    const answer = await fetch(`${rig.network.gatewayUrl}${link.location}`, { signal, headers: { accept: "application/zip" } });
    const text = fileInZip(Buffer.from(await answer.arrayBuffer()), "error.txt");
    if (text !== errorResultText(cause, "9.2")) throw new Error(`error.txt says: ${text}`);
    return `${failed} (${cause}), contributed, COMPLETED with: ${text}`;
  } finally {
    await worker.stop();
  }
}

async function appWith({ rig }: World, image: string) {
  const owner = rig.network.prepared.roles.appDeveloper;
  return { address: await rig.chain.createApp(owner, { name: "gone", image }), owner, price: PRICE };
}

export const downloadScenarios: readonly Scenario<World>[] = [
  {
    id: "image-missing",
    timeoutMs: DEADLINE_MS,
    async run(world, signal) {
      const taskId = await world.rig.buyOne("TEXT=never", { app: await appWith(world, `${world.registry}/iexec-ts/nowhere:1`) });
      return requireErrorResult(world, taskId, "APP_DOWNLOAD_FAILED", "APP_IMAGE_DOWNLOAD_FAILED", signal);
    },
  },
  {
    id: "registry-gone",
    timeoutMs: DEADLINE_MS,
    async run(world, signal) {
      const taskId = await world.rig.buyOne("TEXT=never", {
        app: await appWith(world, `127.0.0.1:${await freePort()}/iexec-ts/nowhere:1`),
      });
      return requireErrorResult(world, taskId, "APP_DOWNLOAD_FAILED", "APP_IMAGE_DOWNLOAD_FAILED", signal);
    },
  },
  {
    id: "dataset-checksum",
    timeoutMs: DEADLINE_MS,
    async run(world, signal) {
      const { rig } = world;
      const { dataset: own, roles } = rig.network.prepared;
      const record = own === undefined ? undefined : await rig.network.hub.dataset(own.address);
      if (record === undefined) throw new Error("the network has no dataset");
      const address = await rig.chain.createDataset(roles.dataProvider, {
        name: "altered",
        location: hexToString(record.multiaddr),
        checksum: `0x${"ab".repeat(32)}`,
      });
      const taskId = await rig.buyOne("TEXT=never", { dataset: { address, owner: roles.dataProvider, price: PRICE } });
      return requireErrorResult(world, taskId, "DATA_DOWNLOAD_FAILED", "DATASET_FILE_BAD_CHECKSUM", signal);
    },
  },
  {
    id: "dataset-missing",
    timeoutMs: DEADLINE_MS,
    async run(world, signal) {
      const { rig } = world;
      const { roles } = rig.network.prepared;
      const address = await rig.chain.createDataset(roles.dataProvider, {
        name: "moved",
        location: `${rig.network.gatewayUrl}/nothing-here`,
        checksum: `0x${"ab".repeat(32)}`,
      });
      const taskId = await rig.buyOne("TEXT=never", { dataset: { address, owner: roles.dataProvider, price: PRICE } });
      return requireErrorResult(world, taskId, "DATA_DOWNLOAD_FAILED", "DATASET_FILE_DOWNLOAD_FAILED", signal);
    },
  },
];
