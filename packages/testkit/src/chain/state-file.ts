import { randomUUID } from "node:crypto";
import { access, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir, userInfo } from "node:os";
import { join, sep } from "node:path";
import { type Address, isAddress } from "viem";
import { z } from "zod";
import { startAnvil } from "./anvil.ts";
import { contractPackageVersion } from "./artifacts.ts";
import { deployPoco, type PocoDeployment } from "./deploy-poco.ts";
import { ledgerOf } from "./ledger.ts";

/** Raise it when a change here makes older files wrong. */
const FORMAT = 1;
/** How many accounts of the test mnemonic hold the native coin in every state file. */
export const FUNDED_ACCOUNTS = 60;

export interface ChainState {
  /** For `anvil --load-state`. */
  readonly stateFile: string;
  readonly deployment: PocoDeployment;
}

const address = z.custom<Address>((value) => typeof value === "string" && isAddress(value));
const deploymentSchema = z.object({
  chainId: z.number(),
  native: z.boolean(),
  hub: address,
  rlc: address,
  appRegistry: address,
  datasetRegistry: address,
  workerpoolRegistry: address,
  owner: address,
});
const anvilState = z.looseObject({
  best_block_number: z.union([z.number(), z.string()]),
  blocks: z.array(z.looseObject({ header: z.looseObject({ number: z.union([z.number(), z.string()]) }) })),
});

const inThisProcess = new Map<string, Promise<ChainState>>();

/**
 * A chain with PoCo deployed, as a file to start from. Made once per version of the contracts and kept under node_modules/.cache.
 * Safe when several processes ask at once: each writes files of its own and moves them into place; all are equally good.
 *
 * Errors: those of `startAnvil` and `deployPoco`.
 * SIDE EFFECTS: the first time, starts a chain, deploys and writes two files.
 */
export function chainState(options: { readonly chainId: number; readonly native: boolean }): Promise<ChainState> {
  const key = `poco-${contractPackageVersion()}-${options.native ? "native" : "token"}-${options.chainId}-f${FORMAT}`;
  const earlier = inThisProcess.get(key);
  if (earlier !== undefined) return earlier;
  const state = cacheFolder().then((folder) => findOrCreate(folder, key, options));
  inThisProcess.set(key, state);
  state.catch(() => inThisProcess.delete(key));
  return state;
}

/** Exported for the test of two creators at once. */
export async function findOrCreate(
  folder: string,
  key: string,
  options: { readonly chainId: number; readonly native: boolean },
): Promise<ChainState> {
  const stateFile = join(folder, `${key}.state.json`);
  const deploymentFile = join(folder, `${key}.json`);
  const found = await readDeployment(deploymentFile);
  if (found !== undefined && (await exists(stateFile))) return { stateFile, deployment: found };

  const draft = join(folder, `${key}.${randomUUID()}.tmp`);
  try {
    const deployment = await deployTo(draft, options);
    await writeFile(draft, slim(await readFile(draft, "utf8")));
    await rename(draft, stateFile);
    await writeFile(draft, JSON.stringify(deployment, null, 2));
    await rename(draft, deploymentFile);
    return { stateFile, deployment };
  } finally {
    await rm(draft, { force: true });
  }
}

async function deployTo(file: string, options: { readonly chainId: number; readonly native: boolean }): Promise<PocoDeployment> {
  const node = await startAnvil({
    ...nodeOptions(options.native),
    chainId: options.chainId,
    accounts: FUNDED_ACCOUNTS,
    balance: 1_000_000,
    dumpState: file,
  });
  try {
    const deployment = await deployPoco(node.url, { native: options.native });
    await ledgerOf(node.url, deployment).prepare();
    return deployment;
  } finally {
    await node.stop();
  }
}

/** A native escrow goes with a chain as Bellecour is: before London, gas for nothing. @source chain.md 3.3 */
export const nodeOptions = (native: boolean): { readonly hardfork?: string; readonly gasPrice?: bigint } =>
  native ? { hardfork: "berlin", gasPrice: 0n } : {};

/** Drops history; the node needs the block of the best number only, and the array is not sorted. @source chain.md 3.2 */
function slim(text: string): string {
  const state = anvilState.parse(JSON.parse(text));
  const best = BigInt(state.best_block_number);
  const blocks = state.blocks.filter((block) => BigInt(block.header.number) === best).map((block) => ({ ...block, transactions: [] }));
  return JSON.stringify({ ...state, blocks, transactions: [] });
}

async function readDeployment(file: string): Promise<PocoDeployment | undefined> {
  if (!(await exists(file))) return undefined;
  const parsed = deploymentSchema.safeParse(JSON.parse(await readFile(file, "utf8")));
  return parsed.success ? parsed.data : undefined;
}

async function cacheFolder(): Promise<string> {
  const installed = createRequire(import.meta.url).resolve("@iexec/poco/package.json");
  const modules = installed.slice(0, installed.lastIndexOf(`${sep}node_modules${sep}`));
  const folder = join(modules, "node_modules", ".cache", "iexec-ts");
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, 2);
    return folder;
  } catch {
    // An installation that may not be written to: keep the files with the user's temporary ones.
    const own = join(tmpdir(), `iexec-ts-cache-${userInfo().username}`);
    await mkdir(own, { recursive: true, mode: 0o700 });
    return own;
  }
}

async function exists(file: string): Promise<boolean> {
  try {
    await access(file);
    return true;
  } catch {
    return false;
  }
}
