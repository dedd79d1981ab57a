import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import type { Bytes32 } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";

export interface ServedFile {
  readonly url: string;
  readonly bytes: number;
  /** What a dataset's checksum on chain names. */
  readonly sha256: Bytes32;
}

export interface DatasetServer {
  readonly url: string;
  /** By the name given. */
  readonly files: ReadonlyMap<string, ServedFile>;
  /** Idempotent. */
  close(): Promise<void>;
}

interface Source extends ServedFile {
  readonly path: string;
}

/**
 * Serves files to the workers of this machine, as a data provider's web server would.
 *
 * @param files - name in the URL -> path on disk
 * Errors: NET-1001 port taken.
 * SIDE EFFECTS: listens on loopback until closed.
 */
export async function startDatasetServer(
  files: ReadonlyMap<string, string>,
  options: { readonly port?: number } = {},
): Promise<DatasetServer> {
  const port = options.port ?? 0;
  const served = new Map<string, Source>();
  const server = createServer((request, response) => {
    answer(served, request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => reject(new CodedError("NET-1001", { port, program: "the dataset server" }, { cause })));
    server.listen(port, "127.0.0.1", resolve);
  });
  const address = server.address();
  const bound = typeof address === "object" && address !== null ? address.port : port;
  const url = `http://127.0.0.1:${bound}`;
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  try {
    for (const [name, path] of files) served.set(name, { path, url: `${url}/${encodeURIComponent(name)}`, ...(await measure(path)) });
  } catch (error) {
    await close();
    throw error;
  }
  return { url, files: served, close };
}

async function measure(path: string): Promise<{ readonly bytes: number; readonly sha256: Bytes32 }> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return { bytes: (await stat(path)).size, sha256: `0x${hash.digest("hex")}` };
}

async function answer(served: ReadonlyMap<string, Source>, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = new URL(request.url ?? "/", "http://localhost").pathname.slice(1);
  const file = served.get(decode(path));
  if (file === undefined || (request.method !== "GET" && request.method !== "HEAD")) {
    response.writeHead(file === undefined ? 404 : 405, { "content-length": 0 });
    response.end();
    return;
  }
  response.writeHead(200, { "content-type": "application/octet-stream", "content-length": file.bytes });
  if (request.method === "HEAD") response.end();
  else await pipeline(createReadStream(file.path), response);
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return "";
  }
}
