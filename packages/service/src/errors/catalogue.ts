import { CHAIN_ERRORS } from "./chain.ts";
import { CONTROL_ERRORS } from "./control.ts";
import { NETWORK_ERRORS } from "./network.ts";
import { OPERATOR_ERRORS } from "./operator.ts";
import { PAGE_ERRORS } from "./page.ts";
import { PAYLOAD_ERRORS } from "./payload.ts";
import { PROXY_ERRORS } from "./proxy.ts";
import { SANDBOX_ERRORS } from "./sandbox.ts";
import { SCHEDULER_ERRORS } from "./scheduler.ts";
import { SERVICE_ERRORS } from "./service.ts";
import { UPDATE_ERRORS } from "./update.ts";
import { WIRE_ERRORS } from "./wire.ts";
import { WORKER_ERRORS } from "./worker.ts";

/** Every error this code base can name, by code. Each code has a page in docs/reference/errors.md. */
export const CATALOGUE = {
  ...SERVICE_ERRORS,
  ...CHAIN_ERRORS,
  ...WIRE_ERRORS,
  ...SANDBOX_ERRORS,
  ...PAYLOAD_ERRORS,
  ...WORKER_ERRORS,
  ...OPERATOR_ERRORS,
  ...CONTROL_ERRORS,
  ...UPDATE_ERRORS,
  ...PAGE_ERRORS,
  ...SCHEDULER_ERRORS,
  ...PROXY_ERRORS,
  ...NETWORK_ERRORS,
};

export type ErrorCode = keyof typeof CATALOGUE;
