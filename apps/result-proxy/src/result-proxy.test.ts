import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createHub, createRpcPool, type RpcPool } from "@iexec-ts/chain";
import { sealOutput } from "@iexec-ts/payload";
import {
  authorizationHashOf,
  type Bytes32,
  enclaveMessageOf,
  resultHashOf,
  resultSealOf,
  type TaskId,
  tagOf,
  type WorkerpoolAuthorization,
} from "@iexec-ts/poco";
import { loadConfig, silentLogger, systemClock } from "@iexec-ts/service";
import { type LocalChain, type PostgresServer, startLocalChain, startPostgres } from "@iexec-ts/testkit";
import type { Address, Hex, LocalAccount } from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { resultProxyConfig } from "./config.ts";
import { type ResultProxy, start } from "./start.ts";

const ZERO = "0x0000000000000000000000000000000000000000";
const TEE = tagOf(["tee", "tdx"]);
let chain: LocalChain;
let postgres: PostgresServer;
let pool: RpcPool;
let home: string;
let databaseUrl: string;
let proxy: ResultProxy;
let app: Address;
let workerpool: Address;
let period: bigint;
const at = (index: number): LocalAccount => chain.account(index);
const scheduler = (): LocalAccount => at(3);
const requester = (): LocalAccount => at(4);
const worker = (): LocalAccount => at(5);
const other = (): LocalAccount => at(6);

async function open(env: Record<string, string> = {}, more: { readonly uploadIdleMs?: number } = {}): Promise<ResultProxy> {
  const { values: config } = loadConfig(resultProxyConfig, {
    argv: [],
    env: {
      IEXEC_RESULT_PROXY_HOST: "127.0.0.1",
      IEXEC_RESULT_PROXY_PORT: "0",
      IEXEC_IPFS_GATEWAY_PORT: "0",
      IEXEC_HUB_ADDRESS: chain.hub,
      DATABASE_URL: databaseUrl,
      IEXEC_RESULT_PROXY_DATA_DIR: join(home, "data"),
      ...env,
    },
  });
  return await start({ config, deps: { hub: await createHub(pool, chain.hub), logger: silentLogger, ...more } });
}

beforeAll(async () => {
  [chain, postgres] = await Promise.all([startLocalChain({ native: true }), startPostgres()]);
  pool = await createRpcPool({ urls: [chain.rpcUrl], pollMs: 50 }, { clock: systemClock });
  home = await mkdtemp(join(tmpdir(), "result-proxy-"));
  databaseUrl = (await postgres.createDatabase()).url;
  app = await chain.createApp(at(1), { name: "app", image: "busybox:1" });
  workerpool = await chain.createWorkerpool(scheduler(), { description: "pool" });
  period = await chain.createCategory("slow", 3_600n);
  for (const account of [scheduler(), worker(), other(), requester()]) await chain.deposit(account.address, 1_000_000_000n);
  proxy = await open();
});
afterAll(async () => {
  await proxy?.close();
  await pool?.close();
  await Promise.all([chain?.stop(), postgres?.stop()]);
  await rm(home, { recursive: true, force: true });
});

interface Sealed {
  readonly digest: Bytes32;
  readonly zip: Buffer;
}
async function seal(text: string): Promise<Sealed> {
  const root = await mkdtemp(join(home, "out-"));
  const outDir = join(root, "iexec_out");
  await mkdir(outDir);
  await writeFile(join(outDir, "result.txt"), text);
  await writeFile(join(outDir, "computed.json"), '{"deterministic-output-path":"/iexec_out/result.txt"}');
  const limits = { entries: 10, depth: 4, pathBytes: 256, fileBytes: 5e7, totalBytes: 5e7, computedJsonBytes: 1e4, callbackBytes: 1e4 };
  const extras = { stdout: undefined, stderr: undefined };
  const sealed = await sealOutput({ outDir, zipPath: join(root, "r.zip"), callback: ZERO, limits, extras }, new AbortController().signal);
  return { digest: sealed.digest, zip: await readFile(sealed.zip.path) };
}

async function newTask(tag?: Bytes32, enclaveChallenge: Address = ZERO): Promise<WorkerpoolAuthorization> {
  const purchase = {
    app: { address: app, owner: at(1) },
    workerpool: { address: workerpool, owner: scheduler() },
    requester: requester(),
    category: period,
    ...(tag === undefined ? {} : { tag }),
  };
  const { dealId, botFirst } = await chain.buy(purchase);
  await chain.initializeTask(scheduler(), dealId, botFirst);
  return await chain.authorize(scheduler(), { dealId, index: botFirst, worker: worker().address, enclaveChallenge });
}

async function revealed(sealed: Sealed): Promise<WorkerpoolAuthorization> {
  const authorization = await newTask();
  await chain.contribute(worker(), authorization, sealed.digest);
  await chain.reveal(worker(), authorization.chainTaskId, sealed.digest);
  await synced();
  return authorization;
}

/** The proxy's node has seen the latest block. */
const synced = async (): Promise<unknown> => pool.waitForBlock(await chain.client.getBlockNumber({ cacheTime: 0 }));

const signed = (account: LocalAccount, { workerWallet, chainTaskId, enclaveChallenge }: WorkerpoolAuthorization): Promise<Hex> =>
  account.signMessage({ message: { raw: authorizationHashOf(workerWallet, chainTaskId, enclaveChallenge) } });

async function askToken(authorization: WorkerpoolAuthorization, account = worker(), base = proxy.url): Promise<Response> {
  await synced();
  return await fetch(`${base}/v1/results/token`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: await signed(account, authorization) },
    body: JSON.stringify(authorization),
  });
}
const tokenFor = async (authorization: WorkerpoolAuthorization, account = worker()): Promise<string> => {
  const response = await askToken(authorization, account);
  expect(response.status).toBe(200);
  return await response.text();
};
const put = (
  taskId: TaskId,
  token: string,
  body: Buffer | ReadableStream,
  headers: Record<string, string> = {},
  base = proxy.url,
): Promise<Response> =>
  fetch(`${base}/v1/results/${taskId}`, {
    method: "PUT",
    headers: { "content-type": "application/zip", authorization: token, ...headers },
    body: body instanceof ReadableStream ? body : new Uint8Array(body),
    ...(body instanceof ReadableStream ? { duplex: "half" as const } : {}),
  });
const post = (token: string, body: unknown, base = proxy.url): Promise<Response> =>
  fetch(`${base}/v1/results`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: token },
    body: JSON.stringify(body),
  });
const model = (taskId: TaskId, zip: Buffer, more: Record<string, unknown> = {}): unknown => ({
  chainTaskId: taskId,
  dealId: null,
  taskIndex: 0,
  image: null,
  cmd: null,
  zip: zip.toString("base64"),
  deterministHash: null,
  enclaveSignature: null,
  ...more,
});
async function refusal(response: Promise<Response>): Promise<[number, unknown]> {
  const answer = await response;
  const body: unknown = await answer.json();
  return [answer.status, typeof body === "object" && body !== null && "code" in body ? body.code : body];
}
/** Gives the authorization to another worker, honestly signed. */
const authorizedFor = ({ dealId, taskIndex }: WorkerpoolAuthorization, wallet: Address): Promise<WorkerpoolAuthorization> =>
  chain.authorize(scheduler(), { dealId, index: BigInt(taskIndex), worker: wallet });

test("a revealed result is uploaded as a stream, found, and downloaded from the gateway", async () => {
  const sealed = await seal("one\n");
  const authorization = await revealed(sealed);
  const { chainTaskId: taskId } = authorization;
  const token = await tokenFor(authorization);
  const head = (): Promise<number> =>
    fetch(`${proxy.url}/v1/results/${taskId}`, { method: "HEAD", headers: { authorization: token } }).then((r) => r.status);
  expect(await head()).toBe(404);
  expect(await refusal(fetch(`${proxy.url}/v1/results/${taskId}/ipfshash`))).toEqual([404, "PRX-1020"]);

  const answer = await put(taskId, token, sealed.zip, { "x-iexec-digest": `0x${"11".repeat(32)}` });
  const link = await answer.text();
  expect(answer.status).toBe(200);
  expect(await head()).toBe(204);
  const cid = await fetch(`${proxy.url}/v1/results/${taskId}/ipfshash`).then((response) => response.text());
  expect(link).toBe(`/ipfs/${cid}`);
  const download = await fetch(new URL(`/ipfs/${cid}`, proxy.gatewayUrl), { headers: { accept: "application/zip" } });
  expect(Buffer.from(await download.arrayBuffer()).equals(sealed.zip)).toBe(true);
  expect(await readdir(join(home, "data", "uploads"))).toEqual([]);

  const again = await put(taskId, token, sealed.zip);
  expect([again.status, await again.text()]).toEqual([200, link]);
  expect(await refusal(put(taskId, token, (await seal("two\n")).zip))).toEqual([409, "PRX-1015"]);
});

test("version 9: base64 in JSON, the link as text, 401 for the second upload, and the hash to ask for", async () => {
  const sealed = await seal("nine\n");
  const authorization = await revealed(sealed);
  const { chainTaskId: taskId } = authorization;
  const token = await tokenFor(authorization);
  expect(await refusal(post(token, model(taskId, (await seal("forged\n")).zip)))).toEqual([401, "PRX-1012"]);
  expect(await refusal(post(token, model(taskId, Buffer.from("no zip at all, only text"))))).toEqual([401, "PAY-1221"]);
  const answer = await post(token, model(taskId, sealed.zip));
  const link = await answer.text();
  expect([answer.status, link]).toEqual([200, expect.stringMatching(/^\/ipfs\/Qm/)]);
  expect(await refusal(post(token, model(taskId, sealed.zip)))).toEqual([401, "PRX-1015"]);
  expect(`/ipfs/${await fetch(`${proxy.url}/v1/results/${taskId}/ipfshash`).then((response) => response.text())}`).toBe(link);
});

test("the scheduler gets a token with its own address and asks whether the result is there", async () => {
  const sealed = await seal("scheduler\n");
  const authorization = await revealed(sealed);
  await put(authorization.chainTaskId, await tokenFor(authorization), sealed.zip);
  const own = await authorizedFor(authorization, scheduler().address);
  const token = await tokenFor(own, scheduler());
  const response = await fetch(`${proxy.url}/v1/results/${authorization.chainTaskId}`, {
    method: "HEAD",
    headers: { authorization: token },
  });
  expect(response.status).toBe(204);
});

test("tokens are refused without the right signatures", async () => {
  const authorization = await newTask();
  expect(await refusal(askToken(authorization, other()))).toEqual([401, "PRX-1001"]);
  const selfMade = { ...authorization, signature: { value: await signed(worker(), authorization) } };
  expect(await refusal(askToken(selfMade))).toEqual([401, "PRX-1006"]);
  expect(await refusal(askToken({ ...authorization, taskIndex: 7 }))).toEqual([401, "PRX-1005"]);
  const enclave = privateKeyToAccount(generatePrivateKey()).address;
  const { dealId, taskIndex } = authorization;
  const teeOnStandard = await chain.authorize(scheduler(), {
    dealId,
    index: BigInt(taskIndex),
    worker: worker().address,
    enclaveChallenge: enclave,
  });
  expect(await refusal(askToken(teeOnStandard))).toEqual([401, "PRX-1005"]);
  const noTask = await chain.authorize(scheduler(), { dealId: `0x${"ab".repeat(32)}`, index: 0n, worker: worker().address });
  expect(await refusal(askToken(noTask))).toEqual([401, "PRX-1003"]);
  expect(
    await refusal(fetch(`${proxy.url}/v1/results/token`, { method: "POST", headers: { "content-type": "application/json" }, body: "{}" })),
  ).toEqual([400, "PRX-1019"]);
});

test("uploads are refused before the reveal, from another worker, without a token, and past the limits", async () => {
  const sealed = await seal("early\n");
  const authorization = await newTask();
  const { chainTaskId: taskId } = authorization;
  const token = await tokenFor(authorization);
  expect(await refusal(put(taskId, token, sealed.zip))).toEqual([409, "PRX-1010"]);
  await chain.contribute(worker(), authorization, sealed.digest);
  await synced();
  expect(await refusal(put(taskId, token, sealed.zip))).toEqual([409, "PRX-1011"]);
  await chain.reveal(worker(), taskId, sealed.digest);
  await synced();
  const strangers = await tokenFor(await authorizedFor(authorization, other().address), other());
  expect(await refusal(put(taskId, strangers, sealed.zip))).toEqual([409, "PRX-1011"]);
  expect(await refusal(put(taskId, "", sealed.zip))).toEqual([401, "PRX-1002"]);
  expect(await refusal(put(taskId, `${token}x`, sealed.zip))).toEqual([401, "PRX-1002"]);
  expect(await refusal(put(taskId, token, (await seal("forged\n")).zip))).toEqual([422, "PRX-1012"]);
  expect(await refusal(put(taskId, token, Buffer.from("text")))).toEqual([422, "PAY-1221"]);

  const small = await open({ IEXEC_RESULT_PROXY_MAX_ARCHIVE_BYTES: "1024", IEXEC_RESULT_PROXY_MAX_JSON_ARCHIVE_BYTES: "1024" });
  const large = Buffer.alloc(100_000);
  expect(await refusal(put(taskId, token, large, {}, small.url))).toEqual([413, "PRX-1014"]);
  expect(await refusal(put(taskId, token, new Blob([large]).stream(), {}, small.url))).toEqual([413, "PRX-1014"]);
  expect(await refusal(post(token, model(taskId, large), small.url))).toEqual([413, "PRX-1014"]);
  await small.close();
  expect(await readdir(join(home, "data", "uploads"))).toEqual([]);
});

test("an upload that stalls is given up, and its place is free again", async () => {
  const sealed = await seal("stalled\n");
  const authorization = await revealed(sealed);
  const { chainTaskId: taskId } = authorization;
  const token = await tokenFor(authorization);
  const narrow = await open({ IEXEC_RESULT_PROXY_MAX_UPLOADS: "1" }, { uploadIdleMs: 200 });
  const stalling = new ReadableStream({ start: (sender) => sender.enqueue(sealed.zip.subarray(0, 10)) });
  expect(await refusal(put(taskId, token, stalling, {}, narrow.url))).toEqual([408, "PRX-1021"]);
  expect((await put(taskId, token, sealed.zip, {}, narrow.url)).status).toBe(200);
  expect(await readdir(join(home, "data", "uploads"))).toEqual([]);
  await narrow.close();
});

test("a stop does not wait for an upload that stalls", async () => {
  const authorization = await revealed(await seal("stopped\n"));
  const token = await tokenFor(authorization);
  const stopped = await open();
  const begun = Promise.withResolvers<void>();
  const stalling = new ReadableStream({
    start: (sender) => sender.enqueue(new Uint8Array(10)),
    // Asked for more: what there was is on its way.
    pull: () => begun.resolve(),
  });
  const answer = put(authorization.chainTaskId, token, stalling, {}, stopped.url).then(
    ({ status }) => status,
    () => "cut",
  );
  await begun.promise;
  await stopped.close();
  expect([400, "cut"]).toContain(await answer);
});

test("instances share tokens, results and the folder; a restart forgets nothing", async () => {
  const sealed = await seal("shared\n");
  const authorization = await revealed(sealed);
  const { chainTaskId: taskId } = authorization;
  const token = await tokenFor(authorization);
  const second = await open();
  const both = await Promise.all([put(taskId, token, sealed.zip), put(taskId, token, sealed.zip, {}, second.url)]);
  expect(both.map(({ status }) => status)).toEqual([200, 200]);
  await second.close();
  const third = await open();
  const hash = await fetch(`${third.url}/v1/results/${taskId}/ipfshash`);
  expect(hash.status).toBe(200);
  expect((await fetch(`${third.gatewayUrl}/ipfs/${await hash.text()}`)).status).toBe(200);
  await third.close();
});

test("a TEE result is taken before the contribution, with the signature of the enclave the pool authorized", async () => {
  const enclave = privateKeyToAccount(generatePrivateKey());
  const authorization = await newTask(TEE, enclave.address);
  const { chainTaskId: taskId } = authorization;
  const token = await tokenFor(authorization);
  const sealed = await seal("secret\n");
  const message = (digest: Bytes32) => enclaveMessageOf(resultHashOf(taskId, digest), resultSealOf(worker().address, taskId, digest));
  const sign = (account: LocalAccount) => account.signMessage({ message: { raw: message(sealed.digest) } });
  const claim = async (account: LocalAccount) => ({ deterministHash: sealed.digest, enclaveSignature: await sign(account) });
  expect(await refusal(post(token, model(taskId, sealed.zip)))).toEqual([401, "PRX-1013"]);
  expect(await refusal(post(token, model(taskId, sealed.zip, await claim(worker()))))).toEqual([401, "PRX-1013"]);
  const answer = await post(token, model(taskId, sealed.zip, await claim(enclave)));
  expect([answer.status, await answer.text()]).toEqual([200, expect.stringMatching(/^\/ipfs\//)]);
});

test("after the final deadline nothing is taken any more", async () => {
  const sealed = await seal("late\n");
  const authorization = await revealed(sealed);
  const token = await tokenFor(authorization);
  await chain.increaseTime(10 * 3_600 + 1);
  await synced();
  expect(await refusal(put(authorization.chainTaskId, token, sealed.zip))).toEqual([409, "PRX-1004"]);
  expect(await refusal(askToken(authorization))).toEqual([401, "PRX-1004"]);
});
