import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openScope } from "@iexec-ts/service";
import type { SecretWatch } from "../operator/secret-watch.ts";
import { type Answer, type Seen, Terminal } from "../operator/terminal.ts";
import { SkipScenario } from "../scenario.ts";
import { mustRun, run } from "./shell.ts";

const CACHE = fileURLToPath(new URL("../../../.cache/join", import.meta.url));
const SUITE = "bookworm";
/** What a person has who follows Docker's instructions, and what a test needs to bend the clock. */
const PACKAGES = "curl,openssl,procps,faketime";
/** Debian's own client, from the package docker.io. */
const CLIENT = "/usr/bin/docker";
const BOOTSTRAP_MS = 400_000;

/** Enters the machine: its files are a layer over the clean ones, its network is its own, the engine is reached by its socket alone. */
const ENTER = `
set -e
lower=$1 layer=$2 home=$3 socket=$4
shift 4
root=$layer/root
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$layer/upper,workdir=$layer/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mkdir -p "$root$home" "$root/run"
mount --bind "$home" "$root$home"
if [ -n "$socket" ]; then touch "$root/run/docker.sock"; mount --bind "$socket" "$root/run/docker.sock"; fi
exec "$@"
`;

/** A clean Debian with Docker's client. SIDE EFFECTS: makes it once, below .cache. */
async function cleanFiles(signal: AbortSignal): Promise<string> {
  const folder = join(CACHE, SUITE);
  if (existsSync(folder)) return folder;
  if (!existsSync("/usr/sbin/debootstrap")) {
    const installed = await run(["apt-get", "install", "-y", "--no-install-recommends", "debootstrap"], signal);
    if (installed.code !== 0) throw new SkipScenario("debootstrap is not here and cannot be installed");
  }
  await mkdir(CACHE, { recursive: true });
  const unfinished = await mkdtemp(join(CACHE, "unfinished-"));
  try {
    using limit = openScope([signal], { ms: BOOTSTRAP_MS });
    await mustRun(["debootstrap", "--variant=minbase", `--include=${PACKAGES}`, SUITE, unfinished], limit.signal);
    await cp(CLIENT, join(unfinished, "usr/bin/docker"));
    await rm(join(unfinished, "var/cache/apt"), { recursive: true, force: true });
    await rename(unfinished, folder);
  } catch (thrown) {
    await rm(unfinished, { recursive: true, force: true });
    throw thrown;
  }
  return folder;
}

export interface MachineOptions {
  /** Removed from the machine before anybody comes. */
  readonly without?: readonly string[];
  readonly socket?: boolean;
  /** Commands in front of everything that runs on it, such as `taskset`. */
  readonly under?: readonly string[];
  /** More mounts, as arguments of `mount` before the machine's own path. */
  readonly mounts?: readonly (readonly [path: string, args: readonly string[]])[];
  readonly user?: number;
}

/** A Debian on which nobody has done anything yet, with a home folder, an address of its own and a way to the engine of this host. */
export class CleanMachine {
  readonly home: string;
  readonly #lower: string;
  readonly #layer: string;
  readonly #namespace: string;
  readonly #options: MachineOptions;
  readonly #watch: SecretWatch;

  private constructor(parts: {
    lower: string;
    layer: string;
    home: string;
    namespace: string;
    options: MachineOptions;
    watch: SecretWatch;
  }) {
    this.#lower = parts.lower;
    this.#layer = parts.layer;
    this.home = parts.home;
    this.#namespace = parts.namespace;
    this.#options = parts.options;
    this.#watch = parts.watch;
  }

  /** SIDE EFFECTS: folders, a network namespace and a pair of interfaces, all gone after `close`. */
  static async start(watch: SecretWatch, signal: AbortSignal, options: MachineOptions = {}): Promise<CleanMachine> {
    const lower = await cleanFiles(signal);
    const id = randomBytes(3).toString("hex");
    const layer = await mkdtemp(join(tmpdir(), "iexec-machine-"));
    const home = join(layer, "home");
    for (const name of ["upper", "work", "root", "home"]) await mkdir(join(layer, name));
    const namespace = `iexec-${id}`;
    // One /30 for each machine, out of a range nobody here uses.
    const third = Number.parseInt(id.slice(0, 2), 16);
    const fourth = (Number.parseInt(id.slice(2, 4), 16) >> 2) << 2;
    const [ours, theirs] = [`10.231.${third}.${fourth + 1}`, `10.231.${third}.${fourth + 2}`];
    const ip = (...args: string[]) => mustRun(["ip", ...args], signal);
    await ip("netns", "add", namespace);
    const machine = new CleanMachine({ lower, layer, home, namespace, options, watch });
    try {
      await ip("link", "add", `ve${id}`, "type", "veth", "peer", "name", "eth0", "netns", namespace);
      await ip("addr", "add", `${ours}/30`, "dev", `ve${id}`);
      await ip("link", "set", `ve${id}`, "up");
      await ip("-n", namespace, "addr", "add", `${theirs}/30`, "dev", "eth0");
      await ip("-n", namespace, "link", "set", "lo", "up");
      await ip("-n", namespace, "link", "set", "eth0", "up");
      await ip("-n", namespace, "route", "add", "default", "via", ours);
      for (const path of options.without ?? []) await machine.mustRun(["rm", path], signal);
      return machine;
    } catch (thrown) {
      await machine.close();
      throw thrown;
    }
  }

  /** A file in the home folder that only its owner reads. */
  async file(name: string, content: string): Promise<string> {
    const path = join(this.home, name);
    await writeFile(path, content, { mode: 0o600 });
    return path;
  }

  read(name: string): Promise<string> {
    return readFile(join(this.home, name), "utf8");
  }

  /** SIDE EFFECTS: starts a program on it, at a terminal. */
  at(line: readonly [string, ...string[]]): Terminal {
    return new Terminal(this.#line(line), {
      env: { PATH: process.env.PATH ?? "", TERM: "xterm-256color" },
      cwd: this.#layer,
      onEnd: (raw) => this.#watch.check(`the terminal of ${line.slice(0, 4).join(" ")}`, raw),
    });
  }

  /** A program at a terminal to its end, with what the person answers. */
  async talk(line: readonly [string, ...string[]], answers: readonly Answer[], signal: AbortSignal): Promise<Seen> {
    const terminal = this.at(line);
    try {
      for (const { to, type } of answers) {
        await terminal.shows(to, signal);
        terminal.type(type);
      }
      return await terminal.end(signal);
    } finally {
      terminal.kill();
    }
  }

  /** A program with nobody at a terminal. */
  async run(line: readonly [string, ...string[]], signal: AbortSignal): Promise<Seen & { readonly seconds: number }> {
    const { code, output, seconds } = await run(this.#line(line), signal);
    this.#watch.check(`the output of ${line.slice(0, 4).join(" ")}`, output);
    return { code, text: output, raw: output, seconds };
  }

  async mustRun(line: readonly [string, ...string[]], signal: AbortSignal): Promise<string> {
    const { code, text } = await this.run(line, signal);
    if (code !== 0) throw new Error(`${line.slice(0, 3).join(" ")} ended with ${code}: ${text.slice(-600)}`);
    return text.trim();
  }

  /** Idempotent. */
  async close(): Promise<void> {
    const ending = AbortSignal.timeout(60_000);
    await run(["ip", "netns", "del", this.#namespace], ending);
    await rm(this.#layer, { recursive: true, force: true });
  }

  #line(line: readonly [string, ...string[]]): readonly [string, ...string[]] {
    const { socket = true, under = [], mounts = [], user } = this.#options;
    const root = join(this.#layer, "root");
    const more = mounts.map(([path, args]) => `mkdir -p '${root}${path}'; mount ${args.join(" ")} '${root}${path}'`).join("\n");
    const script = ENTER.replace('exec "$@"', `${more}\nexec "$@"`);
    const clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", `HOME=${this.home}`, "TERM=xterm-256color", "LANG=C.UTF-8"];
    const chroot = ["chroot", ...(user === undefined ? [] : [`--userspec=${user}:${user}`]), root];
    // Into the home folder first: what is downloaded there stays.
    const inHome = ["sh", "-c", 'cd "$HOME" && exec "$@"', "sh"];
    const enter = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"];
    const where = [this.#lower, this.#layer, this.home, socket ? "/var/run/docker.sock" : ""];
    return ["ip", "netns", "exec", this.#namespace, ...enter, ...where, ...under, ...chroot, ...clean, ...inHome, ...line];
  }
}
