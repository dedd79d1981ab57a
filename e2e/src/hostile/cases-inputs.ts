import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";
import type { TaskId } from "@iexec-ts/poco";
import { saying } from "./checks.ts";
import { argsOf } from "./image.ts";
import type { Lane } from "./lane.ts";
import type { End, HostileCase, Variant } from "./ordeal.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const CHUNK = Buffer.alloc(256 * 1_024, "x");
const GZIPPED = gzipSync(Buffer.alloc(64 * 1_024 * 1_024));

function pour(response: ServerResponse, chunk: Buffer | string, everyMs: number): void {
  const next = () => {
    if (!response.destroyed) response.write(chunk, () => setTimeout(next, everyMs));
  };
  next();
}

/** A source of input files that means no good. */
const HANDLERS: Readonly<Record<string, Handler>> = {
  "/redirect": (_, response) => response.writeHead(302, { location: "http://169.254.169.254/latest/meta-data/" }).end(),
  "/circle": (_, response) => response.writeHead(302, { location: "/circle" }).end(),
  "/to-file": (_, response) => response.writeHead(302, { location: "file:///etc/passwd" }).end(),
  "/silent": () => undefined,
  "/drip": (_, response) => pour(response, "x", 200),
  "/endless": (_, response) => pour(response, CHUNK, 0),
  "/announced": (_, response) => response.writeHead(200, { "content-length": String(10 * 1_024 ** 3) }).write("x"),
  "/gzip": (_, response) => response.writeHead(200, { "content-encoding": "gzip", "content-length": GZIPPED.length }).end(GZIPPED),
  "/empty": (_, response) => response.end(),
};

let source: Promise<{ readonly server: Server; readonly url: string }> | undefined;
/** One for all lanes; it does not keep the process alive. */
function evilSource(): Promise<{ readonly url: string }> {
  source ??= new Promise((resolve, reject) => {
    const server = createServer((request, response) => {
      const handler = HANDLERS[request.url ?? ""];
      if (handler === undefined) response.writeHead(404).end();
      else handler(request, response);
    });
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (address === null || typeof address === "string") return reject(new Error("no port"));
      server.unref();
      resolve({ server, url: `http://127.0.0.1:${address.port}` });
    });
  });
  return source;
}

/** The download is refused with this code, and the requester gets the explanation as a result. */
const refused =
  (code: string) =>
  (end: End): string => {
    if (!end.statuses.includes("DATA_DOWNLOAD_FAILED") || end.cause !== "INPUT_FILES_DOWNLOAD_FAILED")
      throw new Error("it was not refused");
    if (!end.reason.startsWith(code)) throw new Error(`not with ${code}`);
    if (end.last !== "COMPLETED") throw new Error("no explanation was contributed");
    return code;
  };

const fetching = (name: string, url: (base: string) => string, check: Variant["check"], text = "say never; ok"): Variant => ({
  name,
  async buy(lane): Promise<TaskId> {
    const { url: base } = await evilSource();
    return lane.rig.buyOne(argsOf(text), { params: { iexec_input_files: [url(base)] } });
  },
  check,
});

const rssMib = async (pid: number | undefined): Promise<number> =>
  Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1_024;

/** What a worker must not grow by under a flood. */
const GROWTH_MIB = 150;
const FLOOD = 400;

/** Requests nobody should send; all must be turned away, and none may cost memory. */
async function flood({ pageUrl, worker }: Lane, signal: AbortSignal): Promise<string> {
  const before = await rssMib(worker.pid);
  const answers = new Map<number | string, number>();
  const count = (key: number | string) => answers.set(key, (answers.get(key) ?? 0) + 1);
  const ask = async (path: string, init: RequestInit & { duplex?: "half" } = {}) => {
    const response = await fetch(`${pageUrl}${path}`, { ...init, signal }).catch(() => undefined);
    await response?.arrayBuffer().catch(() => undefined);
    count(response?.status ?? "cut");
    return response?.status;
  };
  const forged = { authorization: `0x${randomBytes(65).toString("hex")}`, "content-type": "application/json" };
  const paths = [
    "/compute/pre/x/exit",
    "/compute/post/x/computed",
    "/v1/tasks/../../etc/passwd",
    "/v1/tasks/%00",
    "/v1/tasks/0x00",
    "/tasks",
  ];
  await Promise.all(
    Array.from({ length: FLOOD }, (_, at) =>
      ask(paths[at % paths.length] ?? "/", {
        method: at % 2 === 0 ? "POST" : "GET",
        headers: forged,
        ...(at % 2 === 0 ? { body: "{}" } : {}),
      }),
    ),
  );
  const large = Array.from({ length: 4 }, () => {
    let left = 400;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (left-- > 0) controller.enqueue(CHUNK);
        else controller.close();
      },
    });
    return ask("/v1/tasks", { method: "POST", body, duplex: "half", headers: { "content-type": "application/json" } });
  });
  await Promise.all(large);
  for (const [status] of answers)
    if (typeof status === "number" && (status < 400 || status >= 500)) throw new Error(`a forged request was answered with ${status}`);
  const grown = (await rssMib(worker.pid)) - before;
  if (grown > GROWTH_MIB) throw new Error(`the worker grew by ${Math.round(grown)} MiB`);
  return `${[...answers].map(([status, times]) => `${times} × ${status}`).join(", ")}; memory ${grown >= 0 ? "+" : ""}${Math.round(grown)} MiB`;
}

/** Cases about what comes to the worker from outside: addresses of files, and requests to its page. */
export const INPUT_CASES: readonly HostileCase[] = [
  {
    id: "H24",
    title: "addresses of input files",
    variants: () => [
      fetching("file", () => "file:///etc/passwd", refused("PAY-1101")),
      fetching("ftp", () => "ftp://127.0.0.1/x", refused("PAY-1101")),
      fetching("metadata", () => "http://169.254.169.254/latest/meta-data/", refused("PAY-1102")),
      fetching("redirect to metadata", (base) => `${base}/redirect`, refused("PAY-1102")),
      fetching("redirect to a file", (base) => `${base}/to-file`, refused("PAY-1101")),
      fetching("another address of loopback", (base) => `http://127.0.0.2:${new URL(base).port}/gzip`, refused("PAY-1102")),
      fetching("a private address in disguise", () => "http://2886729729/", refused("PAY-1102")),
      fetching("IPv4 inside IPv6", () => "http://[::ffff:10.0.0.1]/", refused("PAY-1102")),
      fetching("circle", (base) => `${base}/circle`, refused("PAY-1107")),
      fetching("silent", (base) => `${base}/silent`, refused("PAY-1105")),
      fetching("a byte now and then", (base) => `${base}/drip`, refused("PAY-1105")),
      fetching("10 GB in chunks", (base) => `${base}/endless`, refused("PAY-1106")),
      fetching("10 GB announced", (base) => `${base}/announced`, refused("PAY-1106")),
      fetching(
        "gzip bomb",
        (base) => `${base}/gzip`,
        saying(`${GZIPPED.length}\n`),
        "say $(cat /iexec_in/$IEXEC_INPUT_FILE_NAME_1 | wc -c); ok",
      ),
      fetching("empty", (base) => `${base}/empty`, refused("PAY-1108")),
    ],
  },
  {
    id: "H25",
    title: "floods the worker's page",
    variants: () => [],
    beside: (lane, _tasks, signal) => flood(lane, signal),
  },
];
