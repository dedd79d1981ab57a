import { keccak256, stringToHex } from "viem";
import { z } from "zod";
import type { PublicChainConfig, PublicConfiguration, WorkerDescription } from "../api.ts";
import { addressSchema } from "./primitives.ts";

/** @source wire.md 1.2; unknown keys are ignored, a null version means any */
export const publicConfigurationSchema = z.object({
  workerPoolAddress: addressSchema,
  schedulerPublicAddress: addressSchema,
  configServerUrl: z.string().max(2048),
  resultRepositoryURL: z.string().max(2048),
  askForReplicatePeriod: z.int().positive(),
  requiredWorkerVersion: z
    .string()
    .max(200)
    .nullish()
    .transform((version) => version ?? ""),
});

/** Exactly the keys a Java client knows: it refuses a body that has others. @source wire.md 1.2, 9.1.1 */
export const writePublicConfiguration = (configuration: PublicConfiguration): PublicConfiguration => ({
  workerPoolAddress: configuration.workerPoolAddress,
  schedulerPublicAddress: configuration.schedulerPublicAddress,
  configServerUrl: configuration.configServerUrl,
  resultRepositoryURL: configuration.resultRepositoryURL,
  askForReplicatePeriod: configuration.askForReplicatePeriod,
  requiredWorkerVersion: configuration.requiredWorkerVersion,
});

/**
 * The text a ping answers: it changes when, and only when, the public configuration changes; never on a restart.
 *
 * @source wire.md 1.4, 9.2
 */
export const configurationHash = (configuration: PublicConfiguration): string =>
  keccak256(stringToHex(JSON.stringify(writePublicConfiguration(configuration))));

export const publicChainConfigSchema = z.object({
  chainId: z.int().positive(),
  sidechain: z.boolean(),
  chainNodeUrl: z.string().max(2048),
  iexecHubContractAddress: addressSchema,
  blockTime: z.string().regex(/^PT[0-9.HMS]+$/),
});

export const writePublicChainConfig = (chain: PublicChainConfig): PublicChainConfig => ({
  chainId: chain.chainId,
  sidechain: chain.sidechain,
  chainNodeUrl: chain.chainNodeUrl,
  iexecHubContractAddress: chain.iexecHubContractAddress,
  blockTime: chain.blockTime,
});

/** walletAddress is not read: the token's wallet wins. @source wire.md 1.2 */
export const workerDescriptionSchema = z.object({
  name: z.string().max(256),
  os: z.string().max(256).nullish(),
  cpu: z.string().max(256).nullish(),
  cpuNb: z.int().nonnegative().max(1_000_000),
  /** Java workers send 0 from 2 GiB on: their cast to int overflows. @source wire.md 9.1.18 */
  memorySize: z.int().max(1_000_000),
  gpuEnabled: z.boolean().nullish(),
  teeEnabled: z.boolean().nullish(),
  tdxEnabled: z.boolean().nullish(),
});

export const readWorkerDescription = (
  body: z.infer<typeof workerDescriptionSchema>,
  walletAddress: WorkerDescription["walletAddress"],
): WorkerDescription => ({
  name: body.name,
  walletAddress,
  os: body.os ?? "",
  cpu: body.cpu ?? "",
  cpuNb: body.cpuNb,
  memorySize: Math.max(0, body.memorySize),
  gpuEnabled: body.gpuEnabled ?? false,
  teeEnabled: body.teeEnabled ?? false,
  tdxEnabled: body.tdxEnabled ?? false,
});

export const writeWorkerDescription = (me: WorkerDescription): WorkerDescription => ({
  name: me.name,
  walletAddress: me.walletAddress,
  os: me.os,
  cpu: me.cpu,
  cpuNb: me.cpuNb,
  memorySize: me.memorySize,
  gpuEnabled: me.gpuEnabled,
  teeEnabled: me.teeEnabled,
  tdxEnabled: me.tdxEnabled,
});
