import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { CodedError } from "@iexec-ts/service";
import { type Abi, type Address, encodeAbiParameters, type Hex, toFunctionSelector } from "viem";
import { z } from "zod";

export interface ContractCode {
  readonly name: string;
  readonly abi: Abi;
  /** Creation code; library addresses are still holes. */
  readonly code: Hex;
  /** Byte offsets at which the 20 bytes of the order library's address go. */
  readonly holes: readonly number[];
}

const hex = z.custom<Hex>((value) => typeof value === "string" && /^0x/.test(value));
const abi = z.custom<Abi>((value) => Array.isArray(value));
const artifactFile = z.object({
  abi,
  bytecode: hex,
  linkReferences: z.record(z.string(), z.record(z.string(), z.array(z.object({ start: z.number(), length: z.literal(20) })))),
});
const deploymentFile = z.object({ abi: abi.optional(), bytecode: hex, args: z.array(z.unknown()).optional() });
const packageFile = z.object({ version: z.string() });

const packageRoot = (): string => dirname(createRequire(import.meta.url).resolve("@iexec/poco/package.json"));

function parseFile<T>(schema: z.ZodType<T>, ...path: string[]): T {
  const file = join(packageRoot(), ...path);
  const parsed = schema.safeParse(JSON.parse(readFileSync(file, "utf8")));
  if (!parsed.success) throw new CodedError("NET-1005", { reason: `${path.join("/")}: ${z.prettifyError(parsed.error)}` });
  return parsed.data;
}

export const contractPackageVersion = (): string => parseFile(packageFile, "package.json").version;

/**
 * A contract of @iexec/poco as compiled by its authors.
 *
 * @param source - path of the Solidity file below contracts/, for example "facets/IexecPoco1Facet.sol"
 */
export function compiledContract(source: string): ContractCode {
  const name = nameOf(source);
  const file = parseFile(artifactFile, "artifacts", "contracts", source, `${name}.json`);
  const holes = Object.values(file.linkReferences).flatMap((libraries) =>
    Object.values(libraries)
      .flat()
      .map((hole) => hole.start),
  );
  const code = holes.length === 0 ? file.bytecode : hex.parse(file.bytecode.replace(/__\$[0-9a-f]{34}\$__/g, "0".repeat(40)));
  return { name, abi: file.abi, code, holes };
}

/** A contract that the package holds only as a record of its deployment on Arbitrum One (the diamond's own facets and the RLC token). */
export function deployedContract(name: string): ContractCode {
  const file = parseFile(deploymentFile, "deployments", "arbitrum", `${name}.json`);
  return { name, abi: file.abi ?? [], code: file.bytecode, holes: [] };
}

/** Creation code with the constructor's arguments behind it. */
export function withArguments(contract: ContractCode, args: readonly unknown[]): Hex {
  const declaration = contract.abi.find((item) => item.type === "constructor");
  if (declaration === undefined) return contract.code;
  return hex.parse(contract.code + encodeAbiParameters(declaration.inputs, args).slice(2));
}

export function linked(contract: ContractCode, library: Address): Hex {
  let code: string = contract.code;
  const address = library.slice(2).toLowerCase();
  for (const hole of contract.holes) {
    const start = 2 + hole * 2;
    code = code.slice(0, start) + address + code.slice(start + 40);
  }
  return hex.parse(code);
}

/**
 * Selectors a facet answers to. The diamond routes plain transfers and unknown calls by two pseudo selectors.
 *
 * @source chain.md 3 step 5; Diamond.sol receive() and fallback()
 */
export function selectorsOf(contract: ContractCode): Hex[] {
  return contract.abi.flatMap((item): Hex[] => {
    if (item.type === "function") return [toFunctionSelector(item)];
    if (item.type === "receive") return ["0x00000000"];
    return item.type === "fallback" ? ["0xffffffff"] : [];
  });
}

const nameOf = (source: string): string => source.slice(source.lastIndexOf("/") + 1).replace(/\.sol$/, "");

const FACETS = [
  "IexecAccessorsABILegacyFacet",
  "IexecCategoryManagerFacet",
  "IexecConfigurationExtraFacet",
  "IexecConfigurationFacet",
  "IexecOrderManagementFacet",
  "IexecPoco1Facet",
  "IexecPoco2Facet",
  "IexecPocoAccessorsFacet",
  "IexecRelayFacet",
  "IexecERC20Facet",
];

export interface PocoContracts {
  readonly token: ContractCode;
  readonly library: ContractCode;
  readonly initializer: ContractCode;
  readonly diamond: ContractCode;
  readonly facets: readonly ContractCode[];
  readonly registries: { readonly app: ContractCode; readonly dataset: ContractCode; readonly workerpool: ContractCode };
}

/** All contracts of PoCo 6.1.0; with `native` the escrow that holds the chain's own coin. */
export function pocoContracts(native: boolean): PocoContracts {
  const escrow = native ? "IexecEscrowNativeFacet" : "IexecEscrowTokenFacet";
  return {
    token: deployedContract("RLC"),
    library: compiledContract("libs/IexecLibOrders_v5.sol"),
    initializer: deployedContract("DiamondInit"),
    diamond: compiledContract("Diamond.sol"),
    facets: [
      ...["DiamondCutFacet", "DiamondLoupeFacet", "OwnershipFacet"].map(deployedContract),
      ...[...FACETS, escrow].map((name) => compiledContract(`facets/${name}.sol`)),
    ],
    registries: {
      app: compiledContract("registries/apps/AppRegistry.sol"),
      dataset: compiledContract("registries/datasets/DatasetRegistry.sol"),
      workerpool: compiledContract("registries/workerpools/WorkerpoolRegistry.sol"),
    },
  };
}
