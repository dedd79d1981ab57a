import { concatHex, keccak256, stringToHex } from "viem";
import type { Address, Bytes32 } from "./structs.ts";

const ofText = (text: string): Bytes32 => keccak256(stringToHex(text));
const DOMAIN = ofText("IEXEC_SMS_DOMAIN");

/** The 32 bytes that an owner signs (EIP-191) to store a dataset's secret. @source services.md 3.2 */
export function web3SecretChallenge(dataset: Address, value: string): Bytes32 {
  return keccak256(concatHex([DOMAIN, dataset, ofText(value)]));
}

/** The 32 bytes that a person signs (EIP-191) to store one of their own secrets. @source services.md 3.2; compute.md V8 */
export function web2SecretChallenge(owner: Address, name: string, value: string): Bytes32 {
  return keccak256(concatHex([DOMAIN, owner, ofText(name), ofText(value)]));
}

/** The 32 bytes that an app's owner signs (EIP-191) to store the app's secret. @source services.md 3.2 */
export function appSecretChallenge(app: Address, value: string): Bytes32 {
  return web2SecretChallenge(app, "1", value);
}

/** The 32 bytes that a requester signs (EIP-191) to store a secret for their tasks. @source services.md 3.2 */
export function requesterSecretChallenge(requester: Address, key: string, value: string): Bytes32 {
  return web2SecretChallenge(requester, key, value);
}
