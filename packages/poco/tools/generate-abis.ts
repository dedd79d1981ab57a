/**
 * Writes src/generated/*.ts from the artifacts of @iexec/poco and rlc-faucet-contract: only what this code base calls, typed `as const`.
 *
 * SIDE EFFECTS: when run (`node packages/poco/tools/generate-abis.ts`), overwrites the files of src/generated.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";

interface Parameter {
  name?: string | undefined;
  type: string;
  indexed?: boolean | undefined;
  components?: Parameter[] | undefined;
}
const parameter: z.ZodType<Parameter> = z.lazy(() =>
  z.object({
    name: z.string().optional(),
    type: z.string(),
    indexed: z.boolean().optional(),
    components: z.array(parameter).optional(),
  }),
);
const item = z.object({
  type: z.string(),
  name: z.string().optional(),
  inputs: z.array(parameter).optional(),
  outputs: z.array(parameter).optional(),
  stateMutability: z.string().optional(),
  anonymous: z.boolean().optional(),
});
type Item = z.infer<typeof item>;
const artifact = z.object({ abi: z.array(item) });

interface Selection {
  readonly constant: string;
  readonly package: string;
  readonly artifact: string;
  readonly functions: readonly string[];
  /** `all`, or the names. */
  readonly events: "all" | readonly string[];
  readonly errors: "all" | "none";
}

const POCO = "@iexec/poco";
const REGISTRY_FUNCTIONS = [
  "balanceOf",
  "initialize",
  "isRegistered",
  "ownerOf",
  "owner",
  "setBaseURI",
  "tokenOfOwnerByIndex",
  "tokenByIndex",
  "totalSupply",
];
const ASSET_FUNCTIONS = ["owner", "registry"];

/** @source chain.md 3, 10, 11, 12 */
const FILES: Readonly<Record<string, readonly Selection[]>> = {
  "hub-abi.ts": [
    {
      constant: "HUB_ABI",
      package: POCO,
      artifact: "artifacts/contracts/IexecInterfaceToken.sol/IexecInterfaceToken.json",
      functions: [
        "allowance",
        "appregistry",
        "approve",
        "assertDatasetDealCompatibility",
        "balanceOf",
        "callbackgas",
        "claim",
        "claimArray",
        "computeDealVolume",
        "configure",
        "contribute",
        "contributeAndFinalize",
        "contribution_deadline_ratio",
        "countCategory",
        "createCategory",
        "datasetregistry",
        "deposit",
        "depositFor",
        "domain",
        "eip712domain_separator",
        "final_deadline_ratio",
        "finalize",
        "frozenOf",
        "initialize",
        "initializeAndClaimArray",
        "initializeArray",
        "kitty_address",
        "kitty_min",
        "kitty_ratio",
        "manageAppOrder",
        "manageDatasetOrder",
        "manageRequestOrder",
        "manageWorkerpoolOrder",
        "matchOrders",
        "owner",
        "reopen",
        "resultFor",
        "reveal",
        "reveal_deadline_ratio",
        "setCallbackGas",
        "setTeeBroker",
        "sponsorMatchOrders",
        "teebroker",
        "token",
        "totalSupply",
        "transfer",
        "transferOwnership",
        "verifyPresignatureOrSignature",
        "viewAccount",
        "viewApp",
        "viewCategory",
        "viewConsumed",
        "viewContribution",
        "viewDataset",
        "viewDeal",
        "viewPresigned",
        "viewScore",
        "viewTask",
        "viewWorkerpool",
        "withdraw",
        "withdrawTo",
        "workerpool_stake_ratio",
        "workerpoolregistry",
      ],
      events: "all",
      errors: "all",
    },
    {
      constant: "NATIVE_ESCROW_ABI",
      package: POCO,
      artifact: "artifacts/contracts/IexecInterfaceNative.sol/IexecInterfaceNative.json",
      functions: ["deposit", "depositFor", "withdraw"],
      events: [],
      errors: "none",
    },
  ],
  "registries-abi.ts": [
    {
      constant: "APP_REGISTRY_ABI",
      package: POCO,
      artifact: "artifacts/contracts/registries/apps/AppRegistry.sol/AppRegistry.json",
      functions: ["createApp", "predictApp", ...REGISTRY_FUNCTIONS],
      events: ["Transfer"],
      errors: "none",
    },
    {
      constant: "DATASET_REGISTRY_ABI",
      package: POCO,
      artifact: "artifacts/contracts/registries/datasets/DatasetRegistry.sol/DatasetRegistry.json",
      functions: ["createDataset", "predictDataset", ...REGISTRY_FUNCTIONS],
      events: ["Transfer"],
      errors: "none",
    },
    {
      constant: "WORKERPOOL_REGISTRY_ABI",
      package: POCO,
      artifact: "artifacts/contracts/registries/workerpools/WorkerpoolRegistry.sol/WorkerpoolRegistry.json",
      functions: ["createWorkerpool", "predictWorkerpool", ...REGISTRY_FUNCTIONS],
      events: ["Transfer"],
      errors: "none",
    },
  ],
  "assets-abi.ts": [
    {
      constant: "APP_ABI",
      package: POCO,
      artifact: "artifacts/contracts/registries/apps/App.sol/App.json",
      functions: ["m_appChecksum", "m_appMREnclave", "m_appMultiaddr", "m_appName", "m_appType", ...ASSET_FUNCTIONS],
      events: [],
      errors: "none",
    },
    {
      constant: "DATASET_ABI",
      package: POCO,
      artifact: "artifacts/contracts/registries/datasets/Dataset.sol/Dataset.json",
      functions: ["m_datasetChecksum", "m_datasetMultiaddr", "m_datasetName", ...ASSET_FUNCTIONS],
      events: [],
      errors: "none",
    },
    {
      constant: "WORKERPOOL_ABI",
      package: POCO,
      artifact: "artifacts/contracts/registries/workerpools/Workerpool.sol/Workerpool.json",
      functions: [
        "changePolicy",
        "m_schedulerRewardRatioPolicy",
        "m_workerStakeRatioPolicy",
        "m_workerpoolDescription",
        ...ASSET_FUNCTIONS,
      ],
      events: ["PolicyUpdate"],
      errors: "none",
    },
  ],
  "token-abi.ts": [
    {
      constant: "RLC_TOKEN_ABI",
      package: "rlc-faucet-contract",
      artifact: "build/contracts/RLC.json",
      functions: ["allowance", "approve", "approveAndCall", "balanceOf", "decimals", "owner", "totalSupply", "transfer"],
      events: "all",
      errors: "none",
    },
  ],
  "external-abi.ts": [
    {
      constant: "ERC1271_ABI",
      package: POCO,
      artifact: "artifacts/contracts/tools/testing/ERC1271Mock.sol/ERC1271Mock.json",
      functions: ["isValidSignature"],
      events: [],
      errors: "none",
    },
    {
      constant: "DIAMOND_CUT_ABI",
      package: POCO,
      artifact: "deployments/arbitrum/DiamondCutFacet.json",
      functions: ["diamondCut"],
      events: [],
      errors: "none",
    },
  ],
};

const require = createRequire(import.meta.url);

const readItems = (selection: Selection): Item[] => {
  const root = dirname(require.resolve(`${selection.package}/package.json`));
  return artifact.parse(JSON.parse(readFileSync(join(root, selection.artifact), "utf8"))).abi;
};

function select(selection: Selection): Item[] {
  const items = readItems(selection);
  for (const name of selection.functions) {
    if (!items.some((candidate) => candidate.type === "function" && candidate.name === name)) {
      throw new Error(`${selection.constant}: ${selection.artifact} has no function ${name}`);
    }
  }
  return items
    .filter(({ type, name = "" }) => {
      if (type === "function") return selection.functions.includes(name);
      if (type === "event") return selection.events === "all" || selection.events.includes(name);
      return type === "error" && selection.errors === "all";
    })
    .sort((a, b) => {
      const left = `${a.type} ${a.name}`;
      const right = `${b.type} ${b.name}`;
      return left < right ? -1 : left > right ? 1 : 0;
    });
}

function render(selection: Selection): string {
  const lines = select(selection).map((entry) => `  ${JSON.stringify(entry)},\n`);
  return `/** @source ${selection.package}: ${selection.artifact} */\nexport const ${selection.constant} = [\n${lines.join("")}] as const;\n`;
}

/** The text of every generated file, by file name. Reads the installed packages, writes nothing. */
export function generateAbis(): ReadonlyMap<string, string> {
  const header = "// Generated by tools/generate-abis.ts. Do not edit.\n\n";
  return new Map(Object.entries(FILES).map(([file, selections]) => [file, header + selections.map(render).join("\n")]));
}

/** Where the generated files live. */
export const GENERATED_FOLDER: string = fileURLToPath(new URL("../src/generated/", import.meta.url));

if (import.meta.main) {
  for (const [file, text] of generateAbis()) writeFileSync(join(GENERATED_FOLDER, file), text);
}
