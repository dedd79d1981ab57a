import { lowerHex } from "@iexec-ts/poco";
import type { Tale } from "./tale.ts";

/** Tales of tasks: the worker itself is well all the time. */
export const WORK_TALES: readonly Tale[] = [
  {
    name: "nominal",
    story: "one worker, trust 1, from the assignment to the pay",
    shows: [
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
    ],
    async tell(world, signal) {
      world.steady();
      const taskId = await world.rig.buyOne("TEXT=hello");
      await world.seen(taskId, "COMPLETED", signal);
      return [taskId];
    },
  },
  {
    name: "image-gone",
    story: "the app's image is not in its registry",
    shows: ["APP_DOWNLOAD_FAILED"],
    async tell(world, signal) {
      const { chain, network } = world.rig;
      const { appDeveloper: owner } = network.prepared.roles;
      const address = await chain.createApp(owner, { name: "gone", image: `${world.registryHost}/iexec-ts/never-pushed:1` });
      world.steady();
      const taskId = await world.rig.buyOne("", { app: { ...network.prepared.app, address } });
      await world.seen(taskId, "APP_DOWNLOAD_FAILED", signal);
      await world.seen(taskId, "COMPLETED", signal);
      return [taskId];
    },
  },
  {
    name: "dataset-tampered",
    story: "the dataset is not the one its checksum names",
    shows: ["DATA_DOWNLOAD_FAILED"],
    async tell(world, signal) {
      const { chain, network } = world.rig;
      const { dataset, roles } = network.prepared;
      const known = dataset === undefined ? undefined : await network.hub.dataset(lowerHex(dataset.address));
      if (dataset === undefined || known === undefined) throw new Error("the network has no dataset");
      const location = known.multiaddr;
      const address = await chain.createDataset(roles.dataProvider, { name: "tampered", location, checksum: `0x${"5a".repeat(32)}` });
      world.steady();
      const taskId = await world.rig.buyOne("", { dataset: { ...dataset, address } });
      await world.seen(taskId, "DATA_DOWNLOAD_FAILED", signal);
      await world.seen(taskId, "COMPLETED", signal);
      return [taskId];
    },
  },
  {
    name: "no-result",
    story: "the app ends without computed.json",
    shows: ["COMPUTE_FAILED", "FAILED"],
    async tell(world, signal) {
      world.steady();
      const taskId = await world.rig.buyOne("NORESULT=1");
      await world.seen(taskId, "COMPUTE_FAILED", signal);
      await world.seen(taskId, "FAILED", signal);
      return [taskId];
    },
  },
  {
    name: "upload-refused",
    story: "the result proxy refuses the first upload",
    shows: ["RESULT_UPLOAD_FAILED"],
    async tell(world, signal) {
      world.uploads.faults.only = (method, path) => method === "POST" && path.endsWith("/token");
      world.uploads.faults.status = { code: 403, times: 1 };
      world.steady();
      const taskId = await world.rig.buyOne("TEXT=refused");
      await world.seen(taskId, "RESULT_UPLOAD_FAILED", signal);
      await world.seen(taskId, "COMPLETED", signal);
      return [taskId];
    },
  },
  {
    name: "wallet-empty",
    story: "the wallet has no coins to contribute with, then is refilled",
    shows: ["OUT_OF_GAS"],
    async tell(world, signal) {
      const worker = world.steady();
      await world.setCoins(worker, "0");
      const taskId = await world.rig.buyOne("TEXT=dry");
      await world.seen(taskId, "OUT_OF_GAS", signal);
      await world.setCoins(worker, "10");
      await world.seen(taskId, "COMPLETED", signal);
      return [taskId];
    },
  },
  {
    name: "too-slow",
    story: "the app still runs 7 periods after the purchase",
    shows: ["ABORTED_ON_CONTRIBUTION_TIMEOUT"],
    async tell(world, signal) {
      world.steady();
      const taskId = await world.rig.buyOne("SLEEP=900");
      await world.seen(taskId, "COMPUTING", signal);
      await world.warpTo((await world.onChain(taskId)).contributionDeadline);
      await world.seen(taskId, "ABORTED_ON_CONTRIBUTION_TIMEOUT", signal);
      return [taskId];
    },
  },
];
