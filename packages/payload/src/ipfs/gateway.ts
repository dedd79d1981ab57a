import { CodedError, type HttpApp } from "@iexec-ts/service";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { IpfsStore } from "../api.ts";
import { parseCid } from "./cid.ts";

const CLIENT_IDLE_MS = 120_000;
const FOREVER = "public, max-age=29030400, immutable";

/** The part of a file a `Range` header asks for: inclusive bounds, `unsatisfiable`, or undefined for the whole file. */
export function parseRange(
  header: string | undefined,
  size: number,
): { readonly start: number; readonly end: number } | "unsatisfiable" | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? "");
  if (match === null) return undefined;
  const [, first = "", last = ""] = match;
  if (first === "" && last === "") return undefined;
  if (first === "") {
    const length = Math.min(Number(last), size);
    return length === 0 ? "unsatisfiable" : { start: size - length, end: size - 1 };
  }
  const start = Number(first);
  const end = last === "" ? size - 1 : Math.min(Number(last), size - 1);
  if (last !== "" && Number(last) < start) return undefined;
  return start >= size ? "unsatisfiable" : { start, end };
}

/**
 * Adds `GET` and `HEAD /ipfs/<cid>` to a server: whole files and single ranges, `?format=raw` for one block, strong ETag, immutable
 * caching. Content is served as a download without a type, so that a browser never runs it.
 * Answers: 200, 206, 304, 400 (PAY-1301), 404 (PAY-1302), 416 (PAY-1303), 502 (PAY-1304).
 *
 * @source reference/services.md 4.1: the SDK asks `<gateway>/ipfs/<cid>`
 */
export function registerIpfsGateway(app: HttpApp, store: IpfsStore): void {
  app.route<{ Params: { cid: string }; Querystring: { format?: string } }>({
    method: ["GET", "HEAD"],
    url: "/ipfs/:cid",
    exposeHeadRoute: false,
    handler: async (request, reply) => {
      try {
        const cid = parseCid(request.params.cid).toString();
        const raw = request.query.format === "raw" || request.headers.accept === "application/vnd.ipld.raw";
        return raw ? await sendBlock(store, cid, request, reply) : await sendFile(store, cid, request, reply);
      } catch (thrown) {
        return await refuse(reply, CodedError.from(thrown));
      }
    },
  });
}

const STATUS_OF: Readonly<Record<string, number>> = { "PAY-1301": 400, "PAY-1302": 404, "PAY-1303": 416, "PAY-1304": 502 };

async function refuse(reply: FastifyReply, error: CodedError): Promise<FastifyReply> {
  const headers = { "cache-control": "no-store", "access-control-allow-origin": "*", "content-type": "application/json" };
  for (const name of ["etag", "content-disposition", "content-length"]) reply.removeHeader(name);
  return await reply
    .code(STATUS_OF[error.code] ?? 500)
    .headers(headers)
    .send({ code: error.code, message: error.message, fix: error.fix });
}

async function sendBlock(store: IpfsStore, cid: string, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const block = await store.block(cid);
  if (block === undefined) throw new CodedError("PAY-1302", { cid });
  if (immutable(reply, `"${cid}.raw"`, cid, request)) return await reply.code(304).send();
  reply.header("content-type", "application/vnd.ipld.raw").header("content-disposition", `attachment; filename="${cid}.bin"`);
  reply.header("content-length", block.byteLength);
  return await reply.send(request.method === "HEAD" ? null : block);
}

async function sendFile(store: IpfsStore, cid: string, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const file = await store.stat(cid);
  if (file === undefined) throw new CodedError("PAY-1302", { cid });
  const etag = `"${cid}"`;
  if (immutable(reply, etag, cid, request)) return await reply.code(304).send();
  reply.header("content-type", "application/octet-stream").header("content-disposition", `attachment; filename="${cid}"`);
  reply.header("accept-ranges", "bytes");
  const ifRange = request.headers["if-range"];
  const range = ifRange === undefined || ifRange === etag ? parseRange(request.headers.range, file.bytes) : undefined;
  if (range === "unsatisfiable") {
    reply.header("content-range", `bytes */${file.bytes}`);
    throw new CodedError("PAY-1303", { range: request.headers.range, cid, bytes: file.bytes });
  }
  const length = range === undefined ? file.bytes : range.end - range.start + 1;
  reply.code(range === undefined ? 200 : 206).header("content-length", length);
  if (range !== undefined) reply.header("content-range", `bytes ${range.start}-${range.end}/${file.bytes}`);
  if (request.method === "HEAD" || length === 0) return await reply.send(request.method === "HEAD" ? null : "");
  // A client that takes nothing any more is left, or it would hold its connection and the file for ever.
  reply.raw.setTimeout(CLIENT_IDLE_MS, () => reply.raw.destroy());
  // A block that turns out to be missing or damaged later on cuts the connection short of the announced length.
  return await reply.send(store.get(cid, range));
}

/** Sets what every answer about a CID carries; true when the client has it already. */
function immutable(reply: FastifyReply, etag: string, cid: string, request: FastifyRequest): boolean {
  reply.headers({
    etag,
    "cache-control": FOREVER,
    "x-ipfs-path": `/ipfs/${cid}`,
    "x-content-type-options": "nosniff",
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "content-range, content-length, x-ipfs-path",
  });
  const known = request.headers["if-none-match"];
  return known?.split(",").some((one) => one.trim().replace(/^W\//, "") === etag || one.trim() === "*") ?? false;
}
