import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { docker } from "./test-image.ts";

export interface TestRegistry {
  /** `127.0.0.1:port`, which every engine talks to without TLS. */
  readonly address: string;
  /** Stores an image of the engine in this registry. */
  push(localReference: string, repository: string, tag: string): Promise<string>;
  stop(): Promise<void>;
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/** Starts the distribution registry of this machine on a free port, with one user if given. */
export async function startTestRegistry(login?: { readonly username: string; readonly password: string }): Promise<TestRegistry> {
  const folder = await mkdtemp(join(tmpdir(), "sandbox-registry-"));
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  const lines = ["version: 0.1", `storage: { filesystem: { rootdirectory: ${folder}/data } }`, `http: { addr: "${address}" }`];
  if (login !== undefined) {
    const { stdout } = await promisify(execFile)("htpasswd", ["-Bbn", login.username, login.password]);
    await writeFile(join(folder, "users"), stdout);
    lines.push(`auth: { htpasswd: { realm: test, path: ${folder}/users } }`);
  }
  await writeFile(join(folder, "config.yml"), lines.join("\n"));
  const registry = spawn("docker-registry", ["serve", join(folder, "config.yml")], { stdio: "ignore" });
  await untilUp(`http://${address}/v2/`, registry);

  return {
    address,
    push: async (localReference, repository, tag) => {
      const name = `${address}/${repository}`;
      await docker.getImage(localReference).tag({ repo: name, tag });
      const auth = login === undefined ? { username: "", password: "" } : { ...login };
      const progress = await docker.getImage(`${name}:${tag}`).push({ authconfig: { ...auth, serveraddress: address } });
      let text = "";
      for await (const part of progress) text += String(part);
      if (text.includes('"error"')) throw new Error(`push failed: ${text}`);
      return `${name}:${tag}`;
    },
    stop: async () => {
      const ended = new Promise((resolve) => registry.once("exit", resolve));
      registry.kill();
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function untilUp(url: string, registry: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    if (registry.exitCode !== null) throw new Error("docker-registry did not start");
    const up = await fetch(url).then(
      () => true,
      () => false,
    );
    if (up) return;
    await delay(50);
  }
  throw new Error("docker-registry did not answer");
}
