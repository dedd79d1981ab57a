import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { gzipSync } from "node:zlib";
import { inputFileName } from "@iexec-ts/poco";
import { CodedError, seededRandom } from "@iexec-ts/service";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { FetchPolicy } from "../api.ts";
import { downloadDataset, downloadInputFiles } from "./download.ts";
import { createFetchToFile } from "./fetch-to-file.ts";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");
type Handler = (request: IncomingMessage, response: ServerResponse) => void;
const servers: Server[] = [];
let dir: string;
const never = new AbortController().signal;
const quick = { clock: { now: () => new Date(0), monotonicMs: () => 0, sleep: async () => undefined }, random: seededRandom(1) };
const fetchToFile = createFetchToFile(quick);

const policy = (limits: Partial<FetchPolicy["limits"]> = {}, rest: Partial<FetchPolicy> = {}): FetchPolicy => ({
  limits: { maxBytes: 1_000_000, connectMs: 5_000, idleMs: 5_000, totalMs: 30_000, maxRedirects: 3, tries: 1, ...limits },
  allowPrivate: ["127.0.0.1"],
  gateways: [],
  ...rest,
});

async function serve(handler: Handler): Promise<string> {
  const server = createServer(handler).listen(0, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return `http://127.0.0.1:${address.port}`;
}
const hashOf = (text: string | Buffer): `0x${string}` => `0x${createHash("sha256").update(text).digest("hex")}`;
const code = async (run: Promise<unknown>): Promise<string> => {
  const thrown = await run.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return thrown instanceof CodedError ? thrown.code : `not coded: ${String(thrown)}`;
};

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "payload-"));
});
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
  await rm(dir, { recursive: true, force: true });
});

describe("fetchToFile", () => {
  test("stores the body under its name, with size and hash, and leaves nothing else", async () => {
    const url = await serve((_, response) => response.end("hello"));
    expect(await fetchToFile(url, join(dir, "a"), policy(), never)).toEqual({ bytes: 5, sha256: hashOf("hello") });
    expect(await readdir(dir)).toEqual(["a"]);
  });

  test("keeps a compressed body as it was sent", async () => {
    const zipped = gzipSync(Buffer.alloc(100_000));
    const url = await serve((request, response) => {
      expect(request.headers["accept-encoding"]).toBe("identity");
      response.writeHead(200, { "content-encoding": "gzip" }).end(zipped);
    });
    await fetchToFile(url, join(dir, "a"), policy(), never);
    expect(await readFile(join(dir, "a"))).toEqual(zipped);
  });

  test("says that it is alive with each try, with each part that comes, and before the disk is waited for", async () => {
    let calls = 0;
    let signs = 0;
    const url = await serve((_, response) => {
      calls += 1;
      if (calls < 2) response.writeHead(503).end();
      else {
        response.write("one");
        setTimeout(() => response.end("two"), 50);
      }
    });
    const onAlive = () => {
      signs += 1;
    };
    expect((await fetchToFile(url, join(dir, "a"), policy({ tries: 2 }, { onAlive }), never)).bytes).toBe(6);
    expect(signs).toBe(5);
  });

  test("a name server that never answers costs a try no more than a connection may", async () => {
    const resolve = () => new Promise<never>(() => undefined);
    const hanging = createFetchToFile({ ...quick, resolve });
    const began = policy({ connectMs: 100, tries: 2, totalMs: 60_000 });
    expect(await code(hanging("http://example.org/file", join(dir, "a"), began, never))).toBe("PAY-1105");
  });

  test("an abort after forced collections ends a download, whether bytes have come or not", async () => {
    for (const begins of [true, false]) {
      const url = await serve((_, response) => {
        if (begins) response.write("x");
      });
      const abort = new AbortController();
      let outcome: unknown = "pending";
      (() => {
        void fetchToFile(url, join(dir, "a"), policy(), abort.signal).catch((thrown: unknown) => {
          outcome = thrown;
        });
      })();
      for (let turn = 0; turn < 5; turn += 1) {
        await delay(10);
        collect();
      }
      expect(outcome).toBe("pending");
      abort.abort("enough");
      while (outcome === "pending") await delay(5);
      expect(outcome).toBe("enough");
    }
  });

  test("tries again after a passing failure", async () => {
    let calls = 0;
    const url = await serve((_, response) => (++calls < 3 ? response.writeHead(503).end() : response.end("ok")));
    expect((await fetchToFile(url, join(dir, "a"), policy({ tries: 3 }), never)).bytes).toBe(2);
    expect(calls).toBe(3);
  });

  test("does not ask again for what is not there", async () => {
    let calls = 0;
    const url = await serve((_, response) => {
      calls++;
      response.writeHead(404).end("no");
    });
    expect(await code(fetchToFile(url, join(dir, "a"), policy({ tries: 3 }), never))).toBe("PAY-1104");
    expect(calls).toBe(1);
    expect(await readdir(dir)).toEqual([]);
  });

  test.each<[string, Handler, string, Partial<FetchPolicy["limits"]>]>([
    ["an empty body", (_, response) => response.end(), "PAY-1108", {}],
    ["an announced size over the cap", (_, response) => response.end("x".repeat(11)), "PAY-1106", { maxBytes: 10 }],
    [
      "a chunked body over the cap",
      (_, response) => {
        response.write("x".repeat(6));
        response.end("x".repeat(6));
      },
      "PAY-1106",
      { maxBytes: 10 },
    ],
    [
      "a body cut short",
      (_, response) => void response.writeHead(200, { "content-length": "100" }).write("x", () => response.destroy()),
      "PAY-1103",
      {},
    ],
    ["a silent server", () => undefined, "PAY-1105", { idleMs: 100 }],
    ["a drip of bytes", (_, response) => void drip(response), "PAY-1105", { totalMs: 400 }],
    ["an endless circle", (request, response) => response.writeHead(302, { location: request.url ?? "/" }).end(), "PAY-1107", {}],
    ["a redirect to a file", (_, response) => response.writeHead(302, { location: "file:///etc/hostname" }).end(), "PAY-1101", {}],
    [
      "a redirect to the metadata service",
      (_, response) => response.writeHead(302, { location: "http://169.254.169.254/" }).end(),
      "PAY-1102",
      {},
    ],
    [
      "a redirect to an IPv4-mapped loopback",
      (_, response) => response.writeHead(302, { location: "http://[::ffff:10.0.0.1]/" }).end(),
      "PAY-1102",
      {},
    ],
  ])("refuses %s", async (_name, handler, expected, limits) => {
    const url = await serve(handler);
    expect(await code(fetchToFile(url, join(dir, "a"), policy(limits), never))).toBe(expected);
    expect(await readdir(dir)).toEqual([]);
  });

  test("follows a redirect", async () => {
    const url = await serve((request, response) =>
      request.url === "/end" ? response.end("there") : response.writeHead(302, { location: "/end" }).end(),
    );
    expect((await fetchToFile(url, join(dir, "a"), policy(), never)).bytes).toBe(5);
  });

  test("connects only to addresses it has checked, whatever the name says the second time", async () => {
    const url = await serve((_, response) => response.end("inside"));
    let asked = 0;
    const rebinding = createFetchToFile({
      ...quick,
      resolve: async () => [{ address: asked++ === 0 ? "192.0.2.1" : "127.0.0.1", family: 4 }],
    });
    const named = url.replace("127.0.0.1", "rebind.example");
    expect(await code(rebinding(named, join(dir, "a"), policy({}, { allowPrivate: [] }), never))).toBe("PAY-1102");
    expect(asked).toBe(1);
  });

  test("refuses private addresses unless they are allowed by address, range or name", async () => {
    const url = await serve((_, response) => response.end("inside"));
    const named = url.replace("127.0.0.1", "inside.example");
    const resolving = createFetchToFile({ ...quick, resolve: async () => [{ address: "127.0.0.1", family: 4 }] });
    const allowing = (allowPrivate: string[]) => resolving(named, join(dir, "a"), policy({}, { allowPrivate }), never);
    expect(await code(allowing([]))).toBe("PAY-1102");
    expect(await code(allowing(["10.0.0.0/8", "other.example"]))).toBe("PAY-1102");
    expect((await allowing(["127.0.0.0/8"])).bytes).toBe(6);
    expect((await allowing(["inside.example"])).bytes).toBe(6);
  });

  test.each(["file:///etc/passwd", "ftp://example.com/a", "jar:file:/a!/b", "", "/etc/passwd", "/ipfs/../../x", "not a url"])(
    "refuses the address %j",
    async (url) => {
      expect(await code(fetchToFile(url, join(dir, "a"), policy({}, { gateways: ["http://127.0.0.1:1"] }), never))).toBe("PAY-1101");
    },
  );

  test("rejects with the caller's reason when aborted", async () => {
    const abort = new AbortController();
    const url = await serve(() => abort.abort(new Error("enough")));
    await expect(fetchToFile(url, join(dir, "a"), policy(), abort.signal)).rejects.toThrow("enough");
    expect(await readdir(dir)).toEqual([]);
  });

  test("says so when the file cannot be stored", async () => {
    const url = await serve((_, response) => response.end("hello"));
    expect(await code(fetchToFile(url, join(dir, "missing", "a"), policy(), never))).toBe("PAY-1111");
  });
});

function drip(response: ServerResponse): void {
  const next = (): void => {
    if (!response.destroyed) response.write("x", () => setTimeout(next, 20));
  };
  next();
}

describe("downloadDataset", () => {
  const cid = "/ipfs/QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o";

  test("asks the next gateway after an error and after wrong bytes", async () => {
    const broken = await serve((_, response) => response.writeHead(500).end());
    const lying = await serve((_, response) => response.end("tampered"));
    const honest = await serve((request, response) => (request.url === cid ? response.end("data") : response.writeHead(404).end()));
    const dataset = { uri: cid, checksum: hashOf("data"), target: join(dir, "d") };
    const gateways = policy({}, { gateways: [broken, lying, `${honest}/`] });
    expect(await downloadDataset(dataset, gateways, never, quick)).toEqual({ bytes: 4, sha256: hashOf("data") });
    expect(await readFile(join(dir, "d"), "utf8")).toBe("data");
  });

  test("reports wrong bytes rather than a gateway that did not answer, and keeps nothing", async () => {
    const lying = await serve((_, response) => response.end("tampered"));
    const broken = await serve((_, response) => response.writeHead(500).end());
    const dataset = { uri: cid, checksum: hashOf("data"), target: join(dir, "d") };
    expect(await code(downloadDataset(dataset, policy({}, { gateways: [lying, broken] }), never, quick))).toBe("PAY-1109");
    expect(await readdir(dir)).toEqual([]);
  });

  test("an all-zero checksum never matches", async () => {
    const url = await serve((_, response) => response.end("data"));
    const dataset = { uri: url, checksum: `0x${"0".repeat(64)}` as const, target: join(dir, "d") };
    expect(await code(downloadDataset(dataset, policy(), never, quick))).toBe("PAY-1109");
  });

  test("needs a gateway for an IPFS path", async () => {
    const dataset = { uri: cid, checksum: hashOf("data"), target: join(dir, "d") };
    expect(await code(downloadDataset(dataset, policy(), never, quick))).toBe("PAY-1110");
  });

  test("is not downloaded twice", async () => {
    let calls = 0;
    const url = await serve((_, response) => {
      calls++;
      response.end("data");
    });
    const dataset = { uri: url, checksum: hashOf("data"), target: join(dir, "d") };
    await downloadDataset(dataset, policy(), never, quick);
    await downloadDataset(dataset, policy(), never, quick);
    expect(calls).toBe(1);
  });
});

describe("downloadInputFiles", () => {
  test("names a file by the hash of its URL", () => {
    expect(inputFileName("https://example.com/data/input file.csv?x=1")).toBe(
      "0x3a46b431c7b368881f3a6b4463ea40a492373b7e4ba0257f6508c491f1ee9896",
    );
  });

  test("downloads each URL once", async () => {
    let calls = 0;
    const url = await serve((request, response) => {
      calls++;
      response.end(request.url);
    });
    const files = await downloadInputFiles([`${url}/a`, `${url}/b`, `${url}/a`], dir, policy(), never, {}, quick);
    expect(files.map(({ name }) => name)).toEqual([inputFileName(`${url}/a`), inputFileName(`${url}/b`)]);
    expect(calls).toBe(2);
    expect((await readdir(dir)).sort()).toEqual(files.map(({ name }) => name).sort());
  });

  test("uses the last part of the URL for tasks of the 3.x line", async () => {
    const url = await serve((_, response) => response.end("x"));
    const [file] = await downloadInputFiles([`${url}/data/in.csv?x=1`], dir, policy(), never, { names: "segment" }, quick);
    expect(file?.name).toBe("in.csv?x=1");
    expect(await code(downloadInputFiles([`${url}/data/..`], dir, policy(), never, { names: "segment" }, quick))).toBe("PAY-1101");
  });

  test("bounds the sum of all files", async () => {
    const url = await serve((_, response) => response.end("x".repeat(60)));
    const both = [`${url}/a`, `${url}/b`];
    expect(await code(downloadInputFiles(both, dir, policy(), never, { maxTotalBytes: 100 }, quick))).toBe("PAY-1106");
    expect(await code(downloadInputFiles(both, dir, policy(), never, { maxTotalBytes: 60 }, quick))).toBe("PAY-1112");
  });

  test.each([
    "https://example.com/a b",
    "/ipfs/QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o",
    "https://example.com/%zz",
    "https://example.com/a\nb",
  ])("refuses %j as Java does", async (url) => {
    expect(await code(downloadInputFiles([url], dir, policy({}, { gateways: ["http://127.0.0.1:1"] }), never, {}, quick))).toBe("PAY-1101");
  });
});
