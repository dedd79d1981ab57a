import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import Docker from "dockerode";

const SWEEP_MS = 100;
const EARLY_LOOKS = 20;
const LATE_LOOK = 50;
const MAX_FILE_BYTES = 64 * 1_024 * 1_024;
const HEX_KEY = /^0x[0-9a-f]{64}$/;

interface Secret {
  readonly name: string;
  /** Every form in which it must not be seen. */
  readonly needles: readonly Buffer[];
}

/** Looks for the passwords and keys of a run wherever they must not be, all the time and in the end. */
export class SecretWatch {
  readonly #secrets = new Map<string, Secret>();
  readonly #found = new Set<string>();
  readonly #docker: Docker;
  readonly #stop = new AbortController();
  /** How often each process was looked at. */
  readonly #seenProcesses = new Map<string, number>();
  #containers = 0;
  #sweeping: Promise<void> = Promise.resolve();
  #events: NodeJS.ReadableStream | undefined;

  constructor(socketPath: string) {
    this.#docker = new Docker({ socketPath });
  }

  /** Remembers a secret and gives it back. */
  add(name: string, value: string): string {
    const forms = HEX_KEY.test(value)
      ? [Buffer.from(value.slice(2)), Buffer.from(value.slice(2).toUpperCase()), Buffer.from(value.slice(2), "hex")]
      : [Buffer.from(value), Buffer.from(encodeURIComponent(value)), Buffer.from(Buffer.from(value).toString("base64").replace(/=+$/, ""))];
    this.#secrets.set(value, { name, needles: forms });
    return value;
  }

  get findings(): readonly string[] {
    return [...this.#found];
  }

  get counts(): { readonly secrets: number; readonly processes: number; readonly containers: number } {
    return { secrets: this.#secrets.size, processes: this.#seenProcesses.size, containers: this.#containers };
  }

  /** Names of the secrets in `bytes`. */
  secretsIn(bytes: Buffer | string): readonly string[] {
    const haystack = typeof bytes === "string" ? Buffer.from(bytes) : bytes;
    return [...this.#secrets.values()].filter(({ needles }) => needles.some((needle) => haystack.includes(needle))).map(({ name }) => name);
  }

  /** Notes every secret in `bytes` as a finding. */
  check(where: string, bytes: Buffer | string): void {
    for (const name of this.secretsIn(bytes)) this.#found.add(`${name} in ${where}`);
  }

  /** Every file below a folder. @returns how many files were read */
  async checkFolder(folder: string, skip: (path: string) => boolean = () => false): Promise<number> {
    let files = 0;
    for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
      const path = join(entry.parentPath, entry.name);
      if (!entry.isFile() || skip(path)) continue;
      const size = await stat(path).then(
        (found) => found.size,
        () => 0,
      );
      if (size === 0 || size > MAX_FILE_BYTES) continue;
      this.check(path, await readFile(path).catch(() => ""));
      files += 1;
    }
    return files;
  }

  /** SIDE EFFECTS: reads the command lines of all processes again and again, and inspects every container that is made, until `stop`. */
  async start(): Promise<void> {
    this.#events = await this.#docker.getEvents({ filters: { type: ["container"], event: ["create"] } });
    this.#events.on("data", (chunk: Buffer) => {
      for (const [, id] of chunk.toString().matchAll(/"id":"([0-9a-f]{64})"/g)) if (id !== undefined) void this.#checkContainer(id);
    });
    this.#events.on("error", () => undefined);
    for (const { Id } of await this.#docker.listContainers({ all: true })) await this.#checkContainer(Id);
    this.#sweeping = this.#sweep();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    if (this.#events !== undefined && "destroy" in this.#events && typeof this.#events.destroy === "function") this.#events.destroy();
    await this.#sweeping;
  }

  async #checkContainer(id: string): Promise<void> {
    const info = await this.#docker
      .getContainer(id)
      .inspect()
      .catch(() => undefined);
    if (info === undefined) return;
    this.#containers += 1;
    this.check(`docker inspect ${id.slice(0, 12)}`, JSON.stringify(info));
  }

  async #sweep(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      for (const pid of await readdir("/proc")) {
        if (!/^\d+$/.test(pid)) continue;
        const times = this.#seenProcesses.get(pid) ?? 0;
        this.#seenProcesses.set(pid, times + 1);
        // A command line changes when a shell becomes the program it was to start: early, as a rule.
        if (times > EARLY_LOOKS && times % LATE_LOOK !== 0) continue;
        const line = await readFile(`/proc/${pid}/cmdline`).catch(() => Buffer.alloc(0));
        this.check(`the command line of process ${pid}`, line);
      }
      await new Promise((resolve) => setTimeout(resolve, SWEEP_MS));
    }
  }
}
