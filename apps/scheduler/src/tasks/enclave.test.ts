import { createServer, type IncomingMessage, type Server } from "node:http";
import { type Address, personalSigner, web2SecretChallenge } from "@iexec-ts/poco";
import { hasCode } from "@iexec-ts/service";
import { testAccount } from "@iexec-ts/testkit";
import { keccak256, toHex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { afterEach, expect, test } from "vitest";
import { smsEnclaveService } from "./enclave.ts";

const TASK = `0x${"11".repeat(32)}` as const;
const KEY = `0x${"ab".repeat(20)}` as const;
const PROXY = "http://result-proxy.test";
const account = privateKeyToAccount(toHex(testAccount(1).getHdKey().privateKey ?? new Uint8Array(32)));
const owner: Address = `0x${account.address.slice(2).toLowerCase()}`;
let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request) text += String(chunk);
  return text;
}

async function sms(
  answer: (request: IncomingMessage, body: string) => Promise<{ readonly status: number; readonly text?: string }>,
): Promise<string> {
  const made = createServer((request, response) => {
    bodyOf(request)
      .then((body) => answer(request, body))
      .then(
        ({ status, text }) => response.writeHead(status).end(text),
        () => response.writeHead(500).end(),
      );
  });
  server = made;
  await new Promise<void>((resolve) => made.listen(0, "127.0.0.1", resolve));
  const address = made.address();
  return `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
}

test("the pool's owner signs for a key, after telling once where results go", async () => {
  const calls: string[] = [];
  const url = await sms(async (request, body) => {
    calls.push(`${request.method} ${request.url?.split("?")[0]}`);
    const signature = request.headers.authorization;
    if (request.method === "HEAD") return { status: 404 };
    const challenge = request.url?.startsWith("/tee/")
      ? keccak256(TASK)
      : web2SecretChallenge(owner, "iexec-result-iexec-result-proxy-url", body);
    const signer = await personalSigner(challenge, `0x${signature?.slice(2) ?? ""}`);
    if (signer !== owner) return { status: 401 };
    return request.url?.startsWith("/tee/") ? { status: 200, text: KEY } : { status: 204 };
  });
  const service = smsEnclaveService({ url, account, resultProxyUrl: PROXY, timeoutMs: 5_000 });
  expect(await service.challenge(TASK)).toBe(KEY);
  expect(await service.challenge(TASK)).toBe(KEY);
  expect(calls).toEqual(["HEAD /secrets/web2", "POST /secrets/web2", `POST /tee/challenges/${TASK}`, `POST /tee/challenges/${TASK}`]);
});

test.each([
  ["refuses", { status: 401 }],
  ["answers with something else", { status: 200, text: "not an address" }],
  ["answers too much", { status: 200, text: "a".repeat(10_000) }],
])("an SMS that %s is an error with its code", async (_, answer) => {
  const url = await sms(async (request) => (request.url?.startsWith("/tee/") ? answer : { status: 204 }));
  const service = smsEnclaveService({ url, account, resultProxyUrl: PROXY, timeoutMs: 5_000 });
  const thrown: unknown = await service.challenge(TASK).catch((error: unknown) => error);
  expect(hasCode(thrown, "SCH-1303")).toBe(true);
});
