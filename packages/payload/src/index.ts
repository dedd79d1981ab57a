export * from "./api.ts";
export { type DecryptRequest, decryptDataset, decryptOpensslDataset } from "./crypto/decrypt-dataset.ts";
export { type EncryptRequest, encryptResult } from "./crypto/encrypt-result.ts";
export { isPublicAddress, type Resolve, systemResolve } from "./fetch/address-guard.ts";
export { datasetUriOf, downloadCandidates } from "./fetch/dataset-uri.ts";
export {
  type DatasetRequest,
  downloadDataset,
  downloadInputFiles,
  type InputFile,
  type InputFilesOptions,
  inputFileNameV3,
} from "./fetch/download.ts";
export { createFetchToFile, type Download, type FetchDeps, fetchToFile } from "./fetch/fetch-to-file.ts";
export { hashFile } from "./hash.ts";
export { parseCid } from "./ipfs/cid.ts";
export { parseRange, registerIpfsGateway } from "./ipfs/gateway.ts";
export { createKuboIpfs, type KuboOptions } from "./ipfs/kubo.ts";
export { openIpfsStore } from "./ipfs/local-store.ts";
export { fabricateErrorOutput } from "./output/error-output.ts";
export { MAX_RESULT_FILE_NAME } from "./output/names.ts";
export { type ReadResult, readResultZip } from "./output/read-result-zip.ts";
export { sealOutput } from "./output/seal-output.ts";
