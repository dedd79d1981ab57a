import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Answers one request; false leaves it to the standard answers. One that returns true and does nothing lets the caller wait for ever. */
export type Script = (request: IncomingMessage, response: ServerResponse, path: string) => boolean;

export const CONTAINER_ID = "c0".repeat(32);

export const json = (response: ServerResponse, body: unknown, status = 200): void => {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
};

/** What `docker inspect` says of the only container. */
export const containerIn = (status: "running" | "exited", labels: Readonly<Record<string, string>> = {}) => ({
  Id: CONTAINER_ID,
  Name: "/app",
  Config: { Labels: labels },
  State: {
    Status: status,
    Running: status === "running",
    Paused: false,
    OOMKilled: false,
    ExitCode: 0,
    StartedAt: "2026-01-01T00:00:00Z",
    FinishedAt: "2026-01-01T00:00:01Z",
  },
});

/** An engine of one image and one container that does what a test wants, also nothing at all; real ones do not hang on demand. */
export async function scriptedEngine(script: Script): Promise<{ readonly socketPath: string; readonly calls: string[]; close(): void }> {
  const socketPath = join(tmpdir(), `sandbox-script-${randomBytes(5).toString("hex")}.sock`);
  const calls: string[] = [];
  const server = createServer((request, response) => {
    const path = (request.url ?? "").split("?")[0] ?? "";
    calls.push(`${request.method} ${path}`);
    request.resume();
    if (script(request, response, path)) return;
    if (path === "/version") json(response, { Version: "27.0.0", ApiVersion: "1.46" });
    else if (path === "/info") json(response, INFO);
    else if (path.startsWith("/images/")) json(response, IMAGE);
    else if (path === "/containers/create") json(response, { Id: CONTAINER_ID }, 201);
    else if (path.endsWith("/start")) response.writeHead(204).end();
    else if (path.endsWith("/logs")) response.writeHead(200).end();
    else json(response, { message: "not scripted" }, 404);
  }).listen(socketPath);
  await once(server, "listening");
  return {
    socketPath,
    calls,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

const INFO = {
  ID: "scripted",
  Runtimes: { runc: {} },
  DefaultRuntime: "runc",
  CgroupVersion: "2",
  CgroupDriver: "systemd",
  NCPU: 2,
  MemTotal: 8_000_000_000,
  SecurityOptions: ["name=seccomp,profile=builtin"],
  OSType: "linux",
  Architecture: "x86_64",
  MemoryLimit: true,
  SwapLimit: true,
  CpuCfsQuota: true,
  PidsLimit: true,
};
const IMAGE = { Id: `sha256:${"1".repeat(64)}`, RepoTags: [], RepoDigests: [], Size: 1, Os: "linux", Architecture: "amd64", Config: {} };
