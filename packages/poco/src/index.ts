export { type ArgsEra, type SplitArgs, splitArgs } from "./args.ts";
export {
  authorizationSigner,
  expectedAuthorizationSigner,
  isAuthorizationConsistent,
  workerpoolAuthorizationSchema,
} from "./authorization.ts";
export { type Category, DEFAULT_CATEGORIES, maxExecutionMs } from "./categories.ts";
export {
  COMPUTED_JSON,
  type ComputedFile,
  type ComputedFileReading,
  formatComputedFile,
  MAX_COMPUTED_JSON_LENGTH,
  outputSegments,
  parseComputedFile,
  standardComputedFile,
} from "./computed-json.ts";
export {
  type ContributionQuestion,
  type ContributionVerdict,
  canContributeAndFinalize,
  contributionVerdict,
} from "./contribution-verdict.ts";
export { type DatasetUri, decodeMultiaddrText, MAX_MULTIADDR_BYTES, parseDatasetUri } from "./dataset-uri.ts";
export {
  CONTRIBUTION_PERIODS,
  type Deadlines,
  dealDeadlines,
  FINAL_PERIODS,
  isOpen,
  REVEAL_PERIODS,
  revealDeadline,
} from "./deadlines.ts";
export { type DealParams, formatDealParams, parseDealParams } from "./deal-params.ts";
export { callbackDigest, type DigestEntry, determinismDigest, directoryDigest } from "./digest.ts";
export {
  CONTRIBUTED_FAILURES,
  type ContributedFailure,
  ERROR_RESULT_PATH,
  type ErrorTextVersion,
  errorResultText,
} from "./error-result.ts";
export { addressTopic, EVENT_TOPICS, POLICY_UPDATE_TOPIC } from "./events.ts";
export { APP_ABI, DATASET_ABI, WORKERPOOL_ABI } from "./generated/assets-abi.ts";
export { DIAMOND_CUT_ABI, ERC1271_ABI } from "./generated/external-abi.ts";
export { HUB_ABI, NATIVE_ESCROW_ABI } from "./generated/hub-abi.ts";
export { APP_REGISTRY_ABI, DATASET_REGISTRY_ABI, WORKERPOOL_REGISTRY_ABI } from "./generated/registries-abi.ts";
export { RLC_TOKEN_ABI } from "./generated/token-abi.ts";
export { addressSchema, bytes32Schema, hexOf, hexSchema, lowerHex, sameHex, ZERO_ADDRESS, ZERO_BYTES32 } from "./hex.ts";
export {
  authorizationHashOf,
  computeApiChallengeOf,
  dealIdOf,
  enclaveMessageOf,
  resultHashOf,
  resultSealOf,
  taskIdOf,
} from "./ids.ts";
export {
  DEFAULT_REGISTRY,
  formatImageReference,
  type ImageReference,
  normaliseImage,
  parseImageReference,
  registryOf,
} from "./image-reference.ts";
export { isLoginSignature, loginChallengeDigest } from "./login.ts";
export {
  DEFAULT_POLICY,
  type Distribution,
  dealCost,
  distributeRewards,
  distributeSingle,
  KITTY_ADDRESS,
  KITTY_MIN,
  KITTY_RATIO,
  kittyShare,
  type PaidContribution,
  rewardWeight,
  schedulerStake,
  scoreAfter,
  WORKERPOOL_STAKE_RATIO,
  workerStake,
} from "./money.ts";
export { NETWORKS, type Network, type NetworkName, networkOf } from "./networks.ts";
export {
  appOrderSchema,
  datasetOrderSchema,
  MAX_PARAMS_LENGTH,
  requestOrderSchema,
  uint256Schema,
  workerpoolOrderSchema,
} from "./order-schemas.ts";
export {
  type AppOrder,
  type DatasetOrder,
  domainSeparatorOf,
  hashAppOrder,
  hashDatasetOrder,
  hashOrder,
  hashRequestOrder,
  hashWorkerpoolOrder,
  NULL_DATASET_ORDER,
  ORDER_OPERATIONS,
  ORDER_TYPES,
  type OrderDomain,
  type OrderKind,
  type OrderOf,
  type OrderOperation,
  type OrderTypedData,
  orderOperationTypedData,
  orderTypedData,
  type RequestOrder,
  type Signed,
  type WorkerpoolOrder,
} from "./orders.ts";
export { AUXILIARY_PULL_TIMEOUT_MS, DEFAULT_PULL_TIMEOUT, type PullTimeoutBounds, pullTimeoutMs } from "./pull-timeout.ts";
export { type RecordedStatus, type Replayed, replayHistory } from "./replay.ts";
export {
  formatResultLink,
  MAX_RESULT_LINK_LENGTH,
  parseIpfsLocation,
  parseIpfsPath,
  parseResultLink,
  type ResultLink,
} from "./result-link.ts";
export { type CantReveal, type RevealVerdict, revealVerdict } from "./reveal-verdict.ts";
export { personalSigner, rawSigner } from "./signature.ts";
export { appSecretChallenge, requesterSecretChallenge, web2SecretChallenge, web3SecretChallenge } from "./sms-challenges.ts";
export {
  canFollow,
  isFinal,
  isReplicateStatus,
  REPLICATE_STATUSES,
  type ReplicateStatus,
  STATUS_TRANSITIONS,
  type StatusRow,
  type StatusSetter,
  type StatusTransition,
  statusRow,
  statusTransition,
  type TransitionOrigin,
} from "./status.ts";
export * from "./structs.ts";
export {
  dealTag,
  needsGpu,
  needsTee,
  STANDARD_TAG,
  TAG_BITS,
  type TagName,
  type TeeFramework,
  tagCovers,
  tagHas,
  tagNames,
  tagOf,
  teeFrameworkOf,
} from "./tags.ts";
export {
  CONTAINER_INPUT,
  CONTAINER_OUTPUT,
  datasetFileName,
  type EnvironmentMode,
  inputFileName,
  type TaskEnvironmentInput,
  taskEnvironment,
} from "./task-environment.ts";
export {
  canTaskFollow,
  isTaskFinal,
  isTaskStatus,
  TASK_STATUSES,
  type TaskStatus,
  type TaskStatusRow,
  taskStatusRow,
} from "./task-status.ts";
export { type TaskVerdict, taskVerdict } from "./task-verdict.ts";
export {
  type ConsensusTally,
  emptyTally,
  isConsensus,
  needsMore,
  type ReplicationState,
  replicatesNeeded,
  type TalliedContribution,
  tallyContribution,
  tallyOf,
  tallyReopen,
  workerWeight,
} from "./trust.ts";
export * from "./units.ts";
export { decodeWeb3jHex } from "./web3j-hex.ts";
