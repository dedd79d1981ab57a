import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { CodedError } from "@iexec-ts/service";
import { spawnTethered } from "../process/tethered.ts";

export interface AnvilOptions {
  /** 0, the default, picks a free one. */
  readonly port?: number;
  readonly host?: string;
  /** Seconds between blocks; without it every transaction is mined at once. */
  readonly blockTime?: number;
  /** Mine only on request. */
  readonly noMining?: boolean;
  readonly chainId?: number;
  /** For example "berlin", which has no EIP-1559 fees. */
  readonly hardfork?: string;
  /** Wei. */
  readonly gasPrice?: bigint;
  /** Wei. */
  readonly baseFee?: bigint;
  /** How many accounts of the test mnemonic hold the native coin. */
  readonly accounts?: number;
  /** Whole coins given to each of these accounts. */
  readonly balance?: number;
  /** 1 makes "safe" and "finalized" follow the head closely. */
  readonly slotsInAnEpoch?: number;
  /** State file to start from. */
  readonly loadState?: string;
  /** State file written when the node is stopped. */
  readonly dumpState?: string;
}

export interface Anvil {
  readonly url: string;
  readonly wsUrl: string;
  readonly port: number;
  readonly pid: number;
  /** Resolves when the node has ended, for whatever reason. */
  readonly exited: Promise<number | null>;
  /** Idempotent. */
  stop(): Promise<void>;
}

/** The mnemonic whose accounts are funded on every local chain. Public: never used for anything of value. */
export const TEST_MNEMONIC = "test test test test test test test test test test test junk";

/**
 * Starts one Ethereum node for development. It ends with this process, whatever ends this process.
 *
 * Errors: NET-1001 port taken, NET-1002 it did not start, NET-1003 no build for this platform.
 * SIDE EFFECTS: starts a process that listens on loopback.
 */
export async function startAnvil(options: AnvilOptions = {}, signal?: AbortSignal): Promise<Anvil> {
  const port = options.port ?? 0;
  const host = options.host ?? "127.0.0.1";
  const node = await spawnTethered(
    {
      program: "anvil",
      command: anvilBinary(),
      args: anvilArguments({ ...options, port, host }),
      ready: (output) => /Listening on \S*:(\d+)/.exec(output)?.[1],
      port,
    },
    signal,
  );
  const bound = Number(node.readyValue);
  return {
    url: `http://${host}:${bound}`,
    wsUrl: `ws://${host}:${bound}`,
    port: bound,
    pid: node.pid,
    exited: node.exited,
    stop: async () => {
      await node.stop();
    },
  };
}

function anvilArguments(options: AnvilOptions & { readonly port: number; readonly host: string }): string[] {
  const args = ["--host", options.host, "--port", String(options.port), "--mnemonic", TEST_MNEMONIC];
  const add = (flag: string, value: number | bigint | string | undefined) => {
    if (value !== undefined) args.push(flag, String(value));
  };
  add("--block-time", options.blockTime);
  add("--chain-id", options.chainId);
  add("--hardfork", options.hardfork);
  add("--gas-price", options.gasPrice);
  add("--block-base-fee-per-gas", options.baseFee);
  add("--accounts", options.accounts);
  add("--balance", options.balance);
  add("--slots-in-an-epoch", options.slotsInAnEpoch);
  add("--load-state", options.loadState);
  add("--dump-state", options.dumpState);
  if (options.noMining === true) args.push("--no-mining");
  return args;
}

const PLATFORMS: Readonly<Record<string, string>> = {
  "linux-x64": "linux-amd64",
  "linux-arm64": "linux-arm64",
  "darwin-x64": "darwin-amd64",
  "darwin-arm64": "darwin-arm64",
  "win32-x64": "win32-amd64",
};

function anvilBinary(): string {
  const platform = `${process.platform}-${process.arch}`;
  const build = PLATFORMS[platform];
  if (build === undefined) throw new CodedError("NET-1003", { program: "anvil", platform });
  try {
    const require = createRequire(createRequire(import.meta.url).resolve("@foundry-rs/anvil/package.json"));
    const folder = dirname(require.resolve(`@foundry-rs/anvil-${build}/package.json`));
    return join(folder, "bin", process.platform === "win32" ? "anvil.exe" : "anvil");
  } catch (error) {
    throw new CodedError("NET-1003", { program: "anvil", platform }, { cause: error });
  }
}
