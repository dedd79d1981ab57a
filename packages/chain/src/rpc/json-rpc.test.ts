import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { callNode, parseRpcAddress } from "./json-rpc.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function answering(status: number, body: string | undefined, seen: { authorization?: string | undefined } = {}): Promise<string> {
  const server = createServer((request, response) => {
    seen.authorization = request.headers.authorization;
    if (body !== undefined) response.writeHead(status).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    server.close();
    server.closeAllConnections();
  });
  const address: AddressInfo | string | null = server.address();
  return typeof address === "object" && address !== null ? `127.0.0.1:${address.port}` : "";
}

const ask = (address: string, timeoutMs = 5_000) => callNode(parseRpcAddress(address), "eth_test", [], { timeoutMs });

test.each([
  [200, "<html>", "CHN-1002"],
  [200, '{"hello":1}', "CHN-1002"],
  [429, '{"error":{"code":-32005,"message":"slow down"}}', "CHN-1001"],
  [502, "bad gateway", "CHN-1001"],
])("HTTP %i %s is %s", async (status, body, code) => {
  await expect(ask(`http://${await answering(status, body)}`)).rejects.toMatchObject({ code });
});

test("an error object is told from no answer, also with an HTTP error", async () => {
  const body = '{"jsonrpc":"2.0","id":1,"error":{"code":3,"message":"execution reverted","data":"0x"}}';
  await expect(ask(`http://${await answering(200, body)}`)).rejects.toMatchObject({ code: 3, data: "0x" });
  await expect(ask(`http://${await answering(400, body)}`)).rejects.toMatchObject({ code: 3, data: "0x" });
});

test("a node that never answers costs no more than the time allowed", async () => {
  await expect(ask(`http://${await answering(200, undefined)}`, 50)).rejects.toMatchObject({ code: "CHN-1001" });
});

test("credentials travel in a header and appear nowhere else", async () => {
  const seen: { authorization?: string | undefined } = {};
  const host = await answering(502, "no", seen);
  const error = await ask(`http://alice:s3cret@${host}/v3/apikey`).catch((thrown: unknown) => thrown);
  expect(seen.authorization).toBe(`Basic ${Buffer.from("alice:s3cret").toString("base64")}`);
  expect(JSON.stringify(error)).not.toMatch(/s3cret|apikey/);
});

test("subscriptions are looked for on the same host and path, unless told otherwise", () => {
  expect(parseRpcAddress("https://node.example/v3/key")).toMatchObject({
    http: "https://node.example/v3/key",
    ws: "wss://node.example/v3/key",
    shown: "https://node.example",
  });
  expect(parseRpcAddress("ws://node.example:8546")).toMatchObject({ http: "http://node.example:8546/", ws: "ws://node.example:8546/" });
  expect(parseRpcAddress({ url: "http://a", ws: "ws://b" }).ws).toBe("ws://b/");
  expect(parseRpcAddress({ url: "http://a", ws: false }).ws).toBeUndefined();
  expect(() => parseRpcAddress("ftp://a")).toThrow(expect.objectContaining({ code: "CHN-1006" }));
  expect(() => parseRpcAddress("nonsense")).toThrow(expect.objectContaining({ code: "CHN-1006" }));
});
