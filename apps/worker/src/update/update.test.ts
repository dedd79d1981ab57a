import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CodedError } from "@iexec-ts/service";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fetchFiles } from "./fetch-release.ts";
import { Installation } from "./installation.ts";
import type { Manifest } from "./release.ts";

let root: string;
let server: Server | undefined;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "update-"));
  mkdirSync(join(root, "versions/1.0.0"), { recursive: true });
  writeFileSync(join(root, "versions/1.0.0/iexec-worker.mjs"), "");
  symlinkSync("versions/1.0.0", join(root, "current"));
  writeFileSync(join(root, "release.json"), JSON.stringify({ url: "http://releases.example", publicKey: "key" }));
});
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  server = undefined;
  rmSync(root, { recursive: true });
});

const codeOf = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (thrown) {
    return thrown instanceof CodedError ? thrown.code : thrown;
  }
};

describe("an installation", () => {
  const ours = () => Installation.of(join(root, "current/iexec-worker.mjs"));

  test("is found through its link, and nothing else is one", () => {
    expect(ours()).toMatchObject({ version: "1.0.0", origin: { url: "http://releases.example" } });
    expect(codeOf(() => Installation.of("/usr/bin/env"))).toBe("WRK-1701");
    expect(codeOf(() => Installation.of("/nowhere/worker.mjs"))).toBe("WRK-1701");
    writeFileSync(join(root, "release.json"), "{");
    expect(codeOf(ours)).toBe("WRK-1701");
  });

  test("changes over in one step, and keeps what it is told to", async () => {
    const installation = ours();
    for (const version of ["1.1.0", "1.10.0"]) {
      const staged = await installation.stage(version);
      writeFileSync(join(staged, "iexec-worker.mjs"), version);
      await installation.keep(staged, version);
    }
    await installation.switchTo("1.10.0");
    expect(await installation.currentVersion()).toBe("1.10.0");
    expect(readFileSync(installation.currentProgram, "utf8")).toBe("1.10.0");
    expect(await installation.prune(["1.0.0", "1.10.0"])).toEqual(["1.1.0"]);
    expect(readdirSync(join(root, "versions")).sort()).toEqual(["1.0.0", "1.10.0"]);
  });

  test("remembers what was offered, what was broken and what was under way; a damaged memory is a fresh one", async () => {
    const installation = ours();
    expect(installation.memory).toEqual({ highest: "0.0.0", broken: [] });
    await installation.remember({ highest: "2.0.0", from: "1.0.0" });
    await installation.remember({ broken: ["2.0.0"] });
    expect(ours().memory).toEqual({ highest: "2.0.0", broken: ["2.0.0"], from: "1.0.0" });
    await installation.remember({ from: undefined });
    expect(ours().memory.from).toBeUndefined();
    writeFileSync(join(root, "update.json"), '{"highest":');
    expect(installation.memory).toEqual({ highest: "0.0.0", broken: [] });
  });
});

describe("files of a release", () => {
  const content = Buffer.from("content");
  const sha256 = createHash("sha256").update(content).digest("hex");
  const manifest = (bytes: number): Manifest => ({
    schema: 1,
    program: "iexec-worker",
    version: "2.0.0",
    released: "2026-01-01T00:00:00Z",
    expires: "2027-01-01T00:00:00Z",
    files: [{ path: "iexec-worker/part.mjs", bytes, sha256 }],
  });
  const serving = async (answer: Buffer | number): Promise<string> => {
    const listening = createServer((_, response) =>
      typeof answer === "number" ? response.writeHead(answer, { location: "/else" }).end() : response.end(answer),
    );
    server = listening;
    await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
    const address = listening.address();
    return `http://127.0.0.1:${address !== null && typeof address === "object" ? address.port : 0}/releases`;
  };
  const fetching = async (answer: Buffer | number, bytes = content.length) =>
    fetchFiles(await serving(answer), manifest(bytes), root, AbortSignal.timeout(5_000)).then(
      () => "done",
      (thrown: unknown) => (thrown instanceof CodedError ? thrown.code : thrown),
    );

  test("are written as they were signed", async () => {
    expect(await fetching(content)).toBe("done");
    expect(readFileSync(join(root, "iexec-worker/part.mjs"))).toEqual(content);
  });
  test("with another content are refused", async () => expect(await fetching(Buffer.from("contemt"))).toBe("WRK-1703"));
  test("that are cut off are refused", async () => expect(await fetching(content.subarray(1))).toBe("WRK-1703"));
  test("larger than they were signed are not read to their end", async () =>
    expect(await fetching(Buffer.alloc(64 * 1_024 * 1_024))).toBe("WRK-1703"));
  test("that are missing, or somewhere else, are said to be", async () => {
    expect(await fetching(404)).toBe("WRK-1702");
    server?.close();
    expect(await fetching(302)).toBe("WRK-1702");
  });
});
