import type { Hub } from "@iexec-ts/chain";
import { bytes32Schema, hexSchema, type TaskId, workerpoolAuthorizationSchema, ZERO_ADDRESS } from "@iexec-ts/poco";
import { type Clock, CodedError, type HttpApp, openScope, orAborted } from "@iexec-ts/service";
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { checkTokenRequest } from "./checks.ts";
import { codedRefusal, refusing, statusOf, v9StatusOf } from "./refusals.ts";
import type { ResultsStore } from "./results-store.ts";
import type { Tokens } from "./tokens.ts";
import type { EnclaveClaim, UploadRequest, Uploads } from "./uploads.ts";

export interface RoutesOptions {
  readonly maxArchiveBytes: number;
  readonly maxJsonArchiveBytes: number;
  readonly maxUploads: number;
  readonly uploadTimeoutMs: number;
}

export interface RoutesDeps {
  readonly hub: Hub;
  readonly store: ResultsStore;
  readonly tokens: Tokens;
  readonly uploads: Uploads;
  readonly clock: Clock;
  /** Ends running uploads. */
  readonly signal: AbortSignal;
  readonly onRefusal: (error: CodedError) => void;
}

const JSON_EXTRA_BYTES = 64 * 1024;
const taskParams = z.object({ taskId: bytes32Schema });
const signatureHeader = hexSchema(4_096);
/** Version 9's ResultModel; Java leaves all but three members null. */
const resultModel = z.object({
  chainTaskId: bytes32Schema,
  zip: z.base64(),
  deterministHash: z.string().max(66).nullish(),
  enclaveSignature: z.string().max(8_192).nullish(),
});

/**
 * The API of the result proxy: version 9's routes, and `PUT /v1/results/{taskId}`, which takes the archive as a stream. Both
 * answer `/ipfs/<cid>` as text; the PUT also for a second upload of the same result, where version 9 answers 401.
 *
 * @source reference/services.md 3.1
 */
export function registerRoutes(app: HttpApp, options: RoutesOptions, deps: RoutesDeps): void {
  const { hub, store, tokens, uploads } = deps;
  const v9 = refusing(v9StatusOf, options.maxJsonArchiveBytes, deps.onRefusal);
  const ours = refusing(statusOf, options.maxArchiveBytes, deps.onRefusal);
  const allow = { streams: options.maxUploads, json: Math.max(1, Math.floor(options.maxUploads / 4)) };
  const running = { streams: 0, json: 0 };

  const bounded = async <T>(kind: "streams" | "json", work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    running[kind]++;
    using scope = openScope([deps.signal], { ms: options.uploadTimeoutMs, clock: deps.clock });
    try {
      return await orAborted(work(scope.signal), scope.signal);
    } catch (thrown) {
      if (scope.signal.aborted) throw new CodedError("PRX-1017", {}, { cause: thrown });
      throw thrown;
    } finally {
      running[kind]--;
    }
  };
  /** Before a byte of the body is read. */
  const admit = (kind: "streams" | "json") => async (request: FastifyRequest) => {
    tokens.verify(request.headers.authorization);
    if (running[kind] >= allow[kind]) throw new CodedError("PRX-1016");
  };

  app.addContentTypeParser(["application/zip", "application/octet-stream"], {}, (_request, payload, done) => done(null, payload));

  app.post("/v1/results/token", {
    schema: { tags: ["results"], summary: "A token to upload the result of a task", body: workerpoolAuthorizationSchema },
    errorHandler: v9,
    handler: async (request, reply) => {
      const signature = signatureHeader.safeParse(request.headers.authorization);
      const { workerWallet, chainTaskId, enclaveChallenge } = request.body;
      if (!signature.success) throw new CodedError("PRX-1001", { wallet: workerWallet });
      await checkTokenRequest(hub, request.body, signature.data);
      if (enclaveChallenge !== ZERO_ADDRESS) await store.rememberEnclave(chainTaskId, workerWallet, enclaveChallenge);
      return await reply.type("text/plain").send(tokens.issue(workerWallet));
    },
  });

  app.post("/v1/results", {
    schema: { tags: ["results"], summary: "Upload a result as base64 in JSON (version 9)", body: resultModel },
    bodyLimit: Math.ceil((options.maxJsonArchiveBytes * 4) / 3) + JSON_EXTRA_BYTES,
    onRequest: admit("json"),
    errorHandler: v9,
    handler: async (request, reply) => {
      const wallet = tokens.verify(request.headers.authorization);
      const { chainTaskId: taskId, zip, deterministHash, enclaveSignature } = request.body;
      const bytes = Buffer.from(zip, "base64");
      if (bytes.byteLength > options.maxJsonArchiveBytes) throw new CodedError("PRX-1014", { limit: options.maxJsonArchiveBytes });
      if ((await uploads.find(taskId)) !== undefined) throw new CodedError("PRX-1015", { taskId });
      const claim = claimOf(deterministHash, enclaveSignature);
      const upload = { taskId, wallet, bytes: once(bytes), length: bytes.byteLength, claim };
      const { result } = await bounded("json", (signal) => uploads.take(upload, signal));
      return await reply.type("text/plain").send(`/ipfs/${result.cid}`);
    },
  });

  app.put("/v1/results/:taskId", {
    schema: { tags: ["results"], summary: "Upload a result archive as a stream", params: taskParams },
    bodyLimit: options.maxArchiveBytes,
    onRequest: admit("streams"),
    errorHandler: ours,
    handler: async (request, reply) => {
      const wallet = tokens.verify(request.headers.authorization);
      const announced = request.headers["content-length"];
      const upload: UploadRequest = {
        taskId: request.params.taskId,
        wallet,
        bytes: request.raw.iterator({ destroyOnReturn: false }),
        length: announced === undefined ? undefined : Number(announced),
        claim: claimOf(headerText(request, "x-iexec-digest"), headerText(request, "x-iexec-enclave-signature")),
      };
      const { result } = await bounded("streams", (signal) => uploads.take(upload, signal));
      return await reply.type("text/plain").send(`/ipfs/${result.cid}`);
    },
  });

  app.head("/v1/results/:taskId", {
    schema: { tags: ["results"], summary: "Whether a result is stored", params: taskParams },
    handler: async (request, reply) => {
      try {
        tokens.verify(request.headers.authorization);
        return await reply.code((await uploads.find(request.params.taskId)) === undefined ? 404 : 204).send();
      } catch (thrown) {
        const error = codedRefusal(thrown, 0);
        deps.onRefusal(error);
        return await reply.code(statusOf(error)).send();
      }
    },
  });

  app.get("/v1/results/:taskId/ipfshash", {
    schema: { tags: ["results"], summary: "The CID of a stored result", params: taskParams },
    errorHandler: ours,
    handler: async (request, reply) => {
      const taskId: TaskId = request.params.taskId;
      const known = await uploads.find(taskId);
      if (known === undefined) throw new CodedError("PRX-1020", { taskId });
      return await reply.type("text/plain").send(known.cid);
    },
  });
}

function headerText(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === "string" ? value : undefined;
}

/** What an enclave claims, when both members are there and are hex. */
function claimOf(digest: string | null | undefined, signature: string | null | undefined): EnclaveClaim | undefined {
  const both = { digest: bytes32Schema.safeParse(digest), signature: signatureHeader.safeParse(signature) };
  return both.digest.success && both.signature.success ? { digest: both.digest.data, signature: both.signature.data } : undefined;
}

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}
