import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { buffer } from "node:stream/consumers";
import type { IpfsStore } from "../api.ts";

/** The few commands of Kubo's HTTP API that `createKuboIpfs` uses, answered from another store: for tests. */
export async function startKuboStub(store: IpfsStore): Promise<{ readonly url: string; readonly close: () => Promise<void> }> {
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? "/", "http://stub");
    const argument = (url.searchParams.get("arg") ?? "").replace("/ipfs/", "");
    const json = (status: number, body: unknown): void =>
      void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    try {
      switch (request.method === "POST" ? url.pathname : "") {
        case "/api/v0/add": {
          const file = await multipartFile(request);
          const { cid } = await store.add(chunks(file));
          return json(200, { Name: cid, Hash: cid, Size: String(file.byteLength) });
        }
        case "/api/v0/files/stat": {
          const found = await store.stat(argument);
          return found === undefined
            ? json(500, { Message: "not found", Code: 0, Type: "error" })
            : json(200, { Hash: argument, Size: found.bytes, Local: true });
        }
        case "/api/v0/cat": {
          if ((await store.stat(argument)) === undefined) return json(500, { Message: "not found", Code: 0, Type: "error" });
          const start = Number(url.searchParams.get("offset"));
          const length = url.searchParams.get("length");
          store.get(argument, { start, ...(length === null ? {} : { end: start + Number(length) - 1 }) }).pipe(response);
          return;
        }
        case "/api/v0/block/get": {
          const block = await store.block(argument);
          return block === undefined ? json(500, { Message: "not found", Code: 0, Type: "error" }) : void response.end(block);
        }
        default:
          return json(404, {});
      }
    } catch {
      return json(500, { Message: "failed", Code: 0, Type: "error" });
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function multipartFile(request: IncomingMessage): Promise<Buffer> {
  const body = await buffer(request);
  const boundary = /boundary=(.+)$/.exec(request.headers["content-type"] ?? "")?.[1] ?? "";
  const start = body.indexOf("\r\n\r\n") + 4;
  return body.subarray(start, body.lastIndexOf(`\r\n--${boundary}--`));
}

async function* chunks(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}
