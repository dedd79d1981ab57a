import { createHash, randomUUID } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { CodedError, replaceFile } from "@iexec-ts/service";

const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;
const MAX_BLOB_BYTES = 4 * 1024 * 1024 * 1024;
const DIGEST = /^sha256:[0-9a-f]{64}$/;
const UPLOAD_ID = /^[0-9a-f-]{36}$/;
const REFERENCE = /^(?:sha256:[0-9a-f]{64}|[\w][\w.-]{0,127})$/;
const NAME = "([a-z0-9]+(?:[._/-]+[a-z0-9]+)*)";

class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string) {
    super(code);
    this.status = status;
    this.code = code;
  }
}

/**
 * The part of the registry protocol that `docker push` and `docker pull` use, over a folder: blobs by digest, manifests by tag.
 * For loopback only: it knows no users.
 *
 * Errors: NET-1001 port taken.
 * @source OCI distribution specification 1.1, end-1 to end-8
 */
export async function startBuiltInRegistry(
  folder: string,
  port: number,
): Promise<{ readonly port: number; readonly stop: () => Promise<void> }> {
  const store = new Store(folder);
  await store.open();
  const server = createServer((request, response) => {
    route(store, request, response).catch((error: unknown) => {
      const refusal = error instanceof Refusal ? error : new Refusal(500, "UNKNOWN");
      if (response.headersSent) return response.destroy();
      response.writeHead(refusal.status, { "content-type": "application/json", connection: "close" });
      return response.end(JSON.stringify({ errors: [{ code: refusal.code, message: refusal.code }] }));
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => reject(new CodedError("NET-1001", { port, program: "the image registry" }, { cause })));
    server.listen(port, "127.0.0.1", resolve);
  });
  server.unref();
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function route(store: Store, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", "http://registry");
  response.setHeader("docker-distribution-api-version", "registry/2.0");
  const match = (pattern: string) => new RegExp(`^/v2/${pattern}$`).exec(url.pathname);
  if (/^\/v2\/?$/.test(url.pathname)) return reply(response, 200, { "content-type": "application/json" }, "{}");

  const blob = match(`${NAME}/blobs/(sha256:[0-9a-f]{64})`);
  if (blob !== null) return sendBlob(store, request, response, part(blob, 2));
  const upload = match(`${NAME}/blobs/uploads/([^/]*)`);
  if (upload !== null) return receiveBlob(store, request, response, part(upload, 1), part(upload, 2), url.searchParams);
  const manifest = match(`${NAME}/manifests/([^/]+)`);
  if (manifest !== null) return handleManifest(store, request, response, part(manifest, 1), part(manifest, 2));
  const tags = match(`${NAME}/tags/list`);
  if (tags !== null && request.method === "GET") {
    const name = part(tags, 1);
    return reply(response, 200, { "content-type": "application/json" }, JSON.stringify({ name, tags: await store.tags(name) }));
  }
  throw new Refusal(404, "UNSUPPORTED");
}

async function sendBlob(store: Store, request: IncomingMessage, response: ServerResponse, digest: string): Promise<void> {
  const bytes = await store.blobSize(digest);
  if (bytes === undefined) throw new Refusal(404, "BLOB_UNKNOWN");
  if (request.method !== "GET" && request.method !== "HEAD") throw new Refusal(405, "UNSUPPORTED");
  response.writeHead(200, { "content-type": "application/octet-stream", "content-length": bytes, "docker-content-digest": digest });
  if (request.method === "HEAD") response.end();
  else await pipeline(createReadStream(store.blobPath(digest)), response);
}

async function receiveBlob(
  store: Store,
  request: IncomingMessage,
  response: ServerResponse,
  name: string,
  id: string,
  query: URLSearchParams,
): Promise<void> {
  const accepted = (upload: string, received: number) =>
    reply(response, 202, {
      location: `/v2/${name}/blobs/uploads/${upload}`,
      "docker-upload-uuid": upload,
      range: `0-${Math.max(received - 1, 0)}`,
    });
  const created = (digest: string) => reply(response, 201, { location: `/v2/${name}/blobs/${digest}`, "docker-content-digest": digest });

  if (request.method === "POST" && id === "") {
    const mount = query.get("mount");
    if (mount !== null && DIGEST.test(mount) && (await store.blobSize(mount)) !== undefined) return created(mount);
    const upload = randomUUID();
    await store.append(upload, request);
    const digest = query.get("digest");
    if (digest === null) return accepted(upload, 0);
    await store.finish(upload, digest);
    return created(digest);
  }
  if (!UPLOAD_ID.test(id)) throw new Refusal(404, "BLOB_UPLOAD_UNKNOWN");
  switch (request.method) {
    case "PATCH":
      return accepted(id, await store.append(id, request));
    case "PUT": {
      await store.append(id, request);
      const digest = query.get("digest") ?? "";
      await store.finish(id, digest);
      return created(digest);
    }
    case "DELETE":
      await store.forget(id);
      return reply(response, 204, {});
    default:
      throw new Refusal(405, "UNSUPPORTED");
  }
}

async function handleManifest(
  store: Store,
  request: IncomingMessage,
  response: ServerResponse,
  name: string,
  reference: string,
): Promise<void> {
  if (!REFERENCE.test(reference)) throw new Refusal(400, "MANIFEST_INVALID");
  if (request.method === "PUT") {
    const type = request.headers["content-type"] ?? "application/vnd.docker.distribution.manifest.v2+json";
    const digest = await store.putManifest(name, reference, type, await body(request));
    return reply(response, 201, { location: `/v2/${name}/manifests/${digest}`, "docker-content-digest": digest });
  }
  if (request.method !== "GET" && request.method !== "HEAD") throw new Refusal(405, "UNSUPPORTED");
  const found = await store.manifest(name, reference);
  if (found === undefined) throw new Refusal(404, "MANIFEST_UNKNOWN");
  const headers = { "content-type": found.type, "content-length": found.bytes.length, "docker-content-digest": found.digest };
  return reply(response, 200, headers, request.method === "HEAD" ? undefined : found.bytes);
}

async function body(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > MAX_MANIFEST_BYTES) throw new Refusal(413, "SIZE_INVALID");
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

function reply(response: ServerResponse, status: number, headers: Record<string, string | number>, content?: string | Buffer): void {
  response.writeHead(status, content === undefined && status !== 200 ? { "content-length": 0, ...headers } : headers);
  response.end(content);
}

const part = (match: RegExpExecArray, index: number): string => match[index] ?? "";
const sha256 = (bytes: Buffer): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** Blobs and manifests as files; everything appears by rename, so that a reader never sees half of it. */
class Store {
  readonly #folder: string;
  readonly #uploads = new Map<string, number>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  async open(): Promise<void> {
    await rm(join(this.#folder, "uploads"), { recursive: true, force: true });
    for (const name of ["blobs", "uploads", "manifests"]) await mkdir(join(this.#folder, name), { recursive: true });
  }

  blobPath(digest: string): string {
    return join(this.#folder, "blobs", digest.slice("sha256:".length));
  }

  async blobSize(digest: string): Promise<number | undefined> {
    return stat(this.blobPath(digest)).then(
      (found) => found.size,
      () => undefined,
    );
  }

  /** Adds what arrives to the upload; returns its size so far. */
  async append(upload: string, source: AsyncIterable<Uint8Array>): Promise<number> {
    let size = this.#uploads.get(upload) ?? 0;
    const bounded = async function* () {
      for await (const chunk of source) {
        size += chunk.length;
        if (size > MAX_BLOB_BYTES) throw new Refusal(413, "SIZE_INVALID");
        yield chunk;
      }
    };
    await pipeline(bounded(), createWriteStream(this.#uploadPath(upload), { flags: "a" }));
    this.#uploads.set(upload, size);
    return size;
  }

  async finish(upload: string, digest: string): Promise<void> {
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(this.#uploadPath(upload))) hash.update(chunk);
    if (!DIGEST.test(digest) || `sha256:${hash.digest("hex")}` !== digest) {
      await this.forget(upload);
      throw new Refusal(400, "DIGEST_INVALID");
    }
    await rename(this.#uploadPath(upload), this.blobPath(digest));
    this.#uploads.delete(upload);
  }

  async forget(upload: string): Promise<void> {
    this.#uploads.delete(upload);
    await rm(this.#uploadPath(upload), { force: true });
  }

  async putManifest(name: string, reference: string, type: string, bytes: Buffer): Promise<string> {
    const digest = sha256(bytes);
    if (DIGEST.test(reference) && reference !== digest) throw new Refusal(400, "DIGEST_INVALID");
    const folder = this.#manifestFolder(name);
    await mkdir(folder, { recursive: true });
    const record = JSON.stringify({ type, bytes: bytes.toString("base64") });
    for (const key of new Set([digest, reference])) {
      await replaceFile(join(folder, `${key}.json`), record);
    }
    return digest;
  }

  async manifest(
    name: string,
    reference: string,
  ): Promise<{ readonly digest: string; readonly type: string; readonly bytes: Buffer } | undefined> {
    try {
      const record: unknown = JSON.parse(await readFile(join(this.#manifestFolder(name), `${reference}.json`), "utf8"));
      if (typeof record !== "object" || record === null || !("type" in record) || !("bytes" in record)) return undefined;
      const bytes = Buffer.from(String(record.bytes), "base64");
      return { digest: sha256(bytes), type: String(record.type), bytes };
    } catch {
      return undefined;
    }
  }

  async tags(name: string): Promise<string[]> {
    const files = await readdir(this.#manifestFolder(name)).catch(() => []);
    const named = files.filter((file) => file.endsWith(".json"));
    return named.map((file) => file.slice(0, -".json".length)).filter((tag) => !DIGEST.test(tag));
  }

  #uploadPath(upload: string): string {
    return join(this.#folder, "uploads", upload);
  }

  /** One folder per name, whatever characters it has. */
  #manifestFolder(name: string): string {
    return join(this.#folder, "manifests", encodeURIComponent(name));
  }
}
