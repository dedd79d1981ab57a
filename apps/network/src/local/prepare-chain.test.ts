import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HUB_ABI } from "@iexec-ts/poco";
import { readKeystore } from "@iexec-ts/service";
import { hexToString } from "viem";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buyTask } from "./buy-task.ts";
import { type DatasetServer, startDatasetServer } from "./dataset-server.ts";
import { DEMO_SCENE } from "./demo-image.ts";
import { type PreparedChain, prepareChain } from "./prepare-chain.ts";
import { createWorkerWallets, type WorkerWallet } from "./wallets.ts";

const RLC = 1_000_000_000n;

describe("a prepared chain", () => {
  let folder: string;
  let server: DatasetServer;
  let wallets: readonly WorkerWallet[];
  let prepared: PreparedChain;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "iexec-local-"));
    server = await startDatasetServer(new Map([["scene 1.json", DEMO_SCENE]]));
    wallets = await createWorkerWallets(join(folder, "wallets"), 2, "a password");
    const scene = server.files.get("scene 1.json");
    prepared = await prepareChain({
      app: { name: "renderer", image: "127.0.0.1:5000/iexec-ts/demo-renderer:1" },
      dataset: { name: "scene", url: scene?.url ?? "", checksum: scene?.sha256 ?? "0x" },
      workers: wallets.map(({ wallet }) => wallet.address),
      workerpool: { workerStakeRatio: 35n, schedulerRewardRatio: 5n },
    });
  });
  afterAll(async () => {
    await prepared.close();
    await server.close();
    await rm(folder, { recursive: true, force: true });
  });

  test("serves the dataset as the chain says, with its length", async () => {
    const { chain, dataset } = prepared;
    if (dataset === undefined) throw new Error("no dataset");
    const record = await chain.client.readContract({
      address: chain.hub,
      abi: HUB_ABI,
      functionName: "viewDataset",
      args: [dataset.address],
    });
    const url = hexToString(record.m_datasetMultiaddr);
    const response = await fetch(url);
    const body = Buffer.from(await response.arrayBuffer());
    expect(body).toEqual(await readFile(DEMO_SCENE));
    expect(response.headers.get("content-length")).toBe(String(body.length));
    expect(record.m_datasetChecksum).toBe(`0x${createHash("sha256").update(body).digest("hex")}`);
    expect((await fetch(url, { method: "HEAD" })).headers.get("content-length")).toBe(String(body.length));
    expect((await fetch(`${server.url}/..%2Fsecret`)).status).toBe(404);
    expect((await fetch(`${server.url}/%E0%A4%A`)).status).toBe(404);
    expect((await fetch(url, { method: "DELETE" })).status).toBe(405);
  });

  test("the workers' keystores open, and their wallets can stake and pay for gas", async () => {
    const balances = await prepared.chain.balancesOf(wallets.map(({ wallet }) => wallet.address));
    for (const { wallet, keystorePath } of wallets) {
      const opened = await readKeystore(keystorePath, "a password");
      expect(opened.address).toBe(wallet.address);
      expect(balances.get(wallet.address)).toMatchObject({ stake: 1_000n * RLC, native: 10n ** 19n });
    }
    await expect(createWorkerWallets(join(folder, "wallets"), 1, "x")).rejects.toMatchObject({ code: "SVC-1307" });
  });

  test("a requester buys tasks with one call", async () => {
    const deal = await buyTask(prepared, {
      trust: 5n,
      category: 1n,
      volume: 3n,
      args: "--seed 7",
      params: { iexec_result_encryption: false },
    });
    expect(deal.taskIds).toHaveLength(3);
    const { chain, app, dataset, workerpool } = prepared;
    const onChain = await chain.client.readContract({ address: chain.hub, abi: HUB_ABI, functionName: "viewDeal", args: [deal.dealId] });
    expect(onChain).toMatchObject({ trust: 5n, category: 1n, botSize: 3n, workerStake: (RLC * 35n) / 100n, schedulerRewardRatio: 5n });
    expect([onChain.app.pointer, onChain.dataset.pointer, onChain.workerpool.pointer]).toEqual([
      app.address,
      dataset?.address,
      workerpool.address,
    ]);
    expect(JSON.parse(onChain.params)).toEqual({ iexec_args: "--seed 7", iexec_result_encryption: false });
  });
});

test("a chain with blocks every second is prepared in a few blocks", async () => {
  const prepared = await prepareChain({
    chain: { blockTime: 1 },
    app: { name: "renderer", image: "127.0.0.1:5000/x:1" },
    workers: ["0x00000000000000000000000000000000000000aa", "0x00000000000000000000000000000000000000bb"],
  });
  try {
    const deal = await buyTask(prepared);
    expect(deal.taskIds).toHaveLength(1);
    expect(prepared.dataset).toBeUndefined();
  } finally {
    await prepared.close();
  }
});

test("a file that does not exist stops the dataset server", async () => {
  await expect(startDatasetServer(new Map([["x", "/no/such/file"]]))).rejects.toMatchObject({ code: "ENOENT" });
});
