import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Address, lowerHex, type TaskId } from "@iexec-ts/poco";
import { LABELS } from "@iexec-ts/sandbox";
import { freePort, writeKeystore } from "@iexec-ts/service";
import Docker from "dockerode";
import { generatePrivateKey, privateKeyToAddress } from "viem/accounts";
import { buildProbeImage } from "../rig/probe-image.ts";
import { type Rig, startRig } from "../rig/rig.ts";
import { programOf } from "../wrong/refusal.ts";
import { Operator } from "./operator.ts";
import { SecretWatch } from "./secret-watch.ts";

export const RLC = 1_000_000_000n;
export const ETHER = 10n ** 18n;
const DOCKER_SOCKET = "/var/run/docker.sock";
/** geth's light form: play money. */
const LIGHT_SCRYPT = 4_096;
/** For the scenarios that take their workers from the rig. */
const RIG_WALLETS = 16;

interface Funds {
  readonly ether?: bigint;
  /** nRLC in the wallet. */
  readonly rlc?: bigint;
  /** nRLC in the iExec account. */
  readonly stake?: bigint;
}

/** A network, and operators who come to it with their own machines. */
export class World {
  readonly rig: Rig;
  readonly watch: SecretWatch;
  readonly bin: string;
  /** host:port of its image registry. */
  readonly registry: string;
  readonly docker = new Docker({ socketPath: DOCKER_SOCKET });
  readonly #operators: Operator[] = [];
  readonly #closers: (() => Promise<void>)[] = [];
  readonly #shared = new Map<string, Promise<unknown>>();
  #count = 0;

  constructor(rig: Rig, { watch, bin, registry }: Pick<World, "watch" | "bin" | "registry">) {
    this.registry = registry;
    this.rig = rig;
    this.watch = watch;
    this.bin = bin;
  }

  get operators(): readonly Operator[] {
    return this.#operators;
  }

  /** A password or key of this run, watched from now on. */
  password(name: string): string {
    return this.watch.add(`password of ${name}`, `pw-${randomBytes(9).toString("hex")}`);
  }

  key(name: string): `0x${string}` {
    const key = generatePrivateKey();
    this.watch.add(`key of ${name}`, key);
    return key;
  }

  async fund(address: Address, { ether = 0n, rlc = 0n, stake = 0n }: Funds): Promise<void> {
    const { chain } = this.rig;
    if (ether > 0n) await chain.giveNative(address, ether);
    if (rlc > 0n) await chain.giveRlc(address, rlc);
    if (stake > 0n) await chain.deposit(address, stake);
  }

  /**
   * Somebody new, with a wallet and money unless told otherwise. An empty value in `env` takes a setting away.
   *
   * SIDE EFFECTS: makes a home folder, a wallet file and a password file; sends money.
   */
  async operator(
    options: { readonly wallet?: boolean; readonly funds?: Funds; readonly env?: Readonly<Record<string, string>> } = {},
  ): Promise<Operator> {
    this.#count += 1;
    const name = `op${this.#count}`;
    const home = join(this.rig.network.dir, "operators", name);
    await mkdir(join(home, "private"), { recursive: true, mode: 0o755 });
    const password = this.password(name);
    const passwordPath = join(home, "private", "password");
    await writeFile(passwordPath, `${password}\n`, { mode: 0o600 });
    const walletPath = join(home, "wallet", "wallet.json");
    let address: Address | undefined;
    if (options.wallet !== false) {
      await mkdir(join(home, "wallet"), { mode: 0o700 });
      const key = this.key(name);
      await writeKeystore(walletPath, key, password, { n: LIGHT_SCRYPT });
      address = lowerHex(privateKeyToAddress(key));
      await this.fund(address, options.funds ?? { ether: 10n * ETHER, rlc: 100n * RLC, stake: 100n * RLC });
    }
    const operator = new Operator({
      name,
      home,
      bin: this.bin,
      address,
      password,
      watch: this.watch,
      env: {
        IEXEC_WORKER_NAME: name,
        IEXEC_CORE_URL: this.rig.network.schedulerUrl,
        POOL_ADDRESS: this.rig.network.prepared.workerpool.address,
        IEXEC_WORKER_WALLET_PATH: walletPath,
        IEXEC_WORKER_WALLET_PASSWORD_FILE: passwordPath,
        IEXEC_WORKER_BASE_DIR: join(home, "tasks"),
        IEXEC_WORKER_STATE_DIR: join(home, "state"),
        IEXEC_WORKER_PORT: String(await freePort()),
        IEXEC_WORKER_OVERRIDE_AVAILABLE_CPU_COUNT: "1",
        IEXEC_WORKER_TASK_MEMORY_MIB: "256",
        IEXEC_WORKER_TASK_NETWORK: "none",
        IEXEC_WORKER_DOCKER_SOCKET: DOCKER_SOCKET,
        // The dataset server of this network is on loopback.
        IEXEC_WORKER_ALLOW_PRIVATE_DOWNLOADS: "127.0.0.1",
        ...options.env,
      },
    });
    this.#operators.push(operator);
    return operator;
  }

  /** Made by the first scenario that needs it, for all of them. */
  shared<T>(name: string, make: () => Promise<T>): Promise<T> {
    const known = this.#shared.get(name);
    // Each name has one maker, so that the type is that of the maker.
    if (known !== undefined) return known as Promise<T>;
    const made = make();
    this.#shared.set(name, made);
    made.catch(() => this.#shared.delete(name));
    return made;
  }

  /** Ends with the world. */
  owned<T extends { close(): Promise<void> }>(part: T): T {
    this.#closers.push(() => part.close());
    return part;
  }

  /** Somebody whose worker has done a task, and is stopped. */
  veteran(signal: AbortSignal): Promise<Operator> {
    return this.shared("veteran", async () => {
      const operator = await this.operator();
      await this.doTask(operator, "TEXT=veteran", signal);
      return operator;
    });
  }

  /** One task, from the start of the worker to its orderly end. */
  async doTask(operator: Operator, args: string, signal: AbortSignal, extra: Readonly<Record<string, string>> = {}): Promise<TaskId> {
    const worker = operator.worker(extra).start();
    const taskId = await this.rig.buyOne(args);
    await this.rig.untilStatus(taskId, "COMPLETED", signal, operator.address);
    await worker.stop();
    return taskId;
  }

  async close(): Promise<void> {
    for (const operator of this.#operators) await operator.close();
    for (let end = this.#closers.pop(); end !== undefined; end = this.#closers.pop()) await end();
    await this.watch.stop();
    const mine = this.#operators.filter(({ hasWallet }) => hasWallet).map(({ address }) => `${LABELS.worker}=${address}`);
    for (const label of mine) {
      for (const { Id } of await this.docker.listContainers({ all: true, filters: { label: [label] } }))
        await this.docker
          .getContainer(Id)
          .remove({ force: true, v: true })
          .catch(() => undefined);
    }
    await this.rig.close();
  }
}

export async function openWorld(signal: AbortSignal): Promise<{ readonly context: World; close(): Promise<void> }> {
  let registry = "";
  const rig = await startRig(
    {
      wallets: RIG_WALLETS,
      image: (parts, stop) => {
        registry = parts.registry.host;
        return buildProbeImage(parts, stop);
      },
    },
    signal,
  );
  try {
    const bin = join(rig.network.dir, "bin");
    await mkdir(bin);
    const line = `#!/bin/sh\nexec '${process.execPath}' '${programOf("worker")}' "$@"\n`;
    await writeFile(join(bin, "iexec-worker"), line, { mode: 0o755 });
    const watch = new SecretWatch(DOCKER_SOCKET);
    await watch.start();
    const world = new World(rig, { watch, bin, registry });
    return { context: world, close: () => world.close() };
  } catch (thrown) {
    await rig.close();
    throw thrown;
  }
}
