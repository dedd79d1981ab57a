import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { systemRandom } from "@iexec-ts/service";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { createResultProxyClient } from "./result-proxy-client.ts";

const CID = "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o";
const TASK = `0x${"11".repeat(32)}` as const;
const WORKER = `0x${"22".repeat(20)}` as const;
const AUTHORIZATION = {
  workerWallet: WORKER,
  chainTaskId: TASK,
  enclaveChallenge: `0x${"00".repeat(20)}`,
  dealId: `0x${"33".repeat(32)}`,
  taskIndex: 3,
  signature: { value: `0x${"4".repeat(130)}` },
} as const;
const BODY = z.object({ chainTaskId: z.string(), taskIndex: z.number(), deterministHash: z.string(), zip: z.string() });

let folder: string;
let server: Server;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "result-proxy-client-"));
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A version 9 result proxy, which knows no streamed upload; `read` takes in what is uploaded. */
async function serveV9(read: (request: IncomingMessage) => Promise<void>): Promise<string> {
  server = createServer((request, response) => {
    if (request.method === "GET") response.writeHead(404).end();
    else if (request.method === "PUT") request.resume().on("end", () => response.writeHead(405).end());
    else if (request.url === "/v1/results/token") request.resume().on("end", () => response.end("a.b.c"));
    else
      read(request).then(
        () => response.end(`/ipfs/${CID}`),
        () => response.destroy(),
      );
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = z.object({ port: z.number() }).parse(server.address());
  return `http://127.0.0.1:${address.port}`;
}

test("a version 9 proxy may take a large result, and answer it, more slowly than one answer may take", async () => {
  const zip = Buffer.from(systemRandom.bytes(300_001));
  const zipPath = join(folder, "iexec_out.zip");
  writeFileSync(zipPath, zip);
  let text = "";
  let length = 0;
  const url = await serveV9(async (request) => {
    length = Number(request.headers["content-length"]);
    await delay(1_500);
    for await (const part of request) text += String(part);
    await delay(2_000);
  });
  const account = privateKeyToAccount(generatePrivateKey());
  const results = createResultProxyClient({ account, defaultUrl: url, timeoutMs: 500 });
  let signs = 0;
  const onAlive = () => {
    signs += 1;
  };
  const task = { authorization: AUTHORIZATION, zipPath, digest: TASK, proxyUrl: undefined, onAlive };
  expect(await results.upload(task, new AbortController().signal)).toBe(CID);
  expect(length).toBe(text.length);
  const { zip: taken, ...rest } = BODY.parse(JSON.parse(text));
  expect(rest).toEqual({ chainTaskId: TASK, taskIndex: 3, deterministHash: TASK });
  expect(Buffer.from(taken, "base64").equals(zip)).toBe(true);
  expect(signs).toBeGreaterThan(4);
  await results.close();
});
