export * from "./api.ts";
export { createEventStream, type EventStreamDeps } from "./events/event-stream.ts";
export {
  type FeeMarket,
  type FeeOffer,
  type FeePolicy,
  type Fees,
  multiplierFrom,
  offerFees,
  raiseFees,
  urgencyAt,
} from "./fees/fee-policy.ts";
export { createHub } from "./hub/hub.ts";
export { createRpcPool, type RpcPoolDeps, type RpcPoolOptions } from "./rpc/rpc-pool.ts";
export { type ConformanceRunner, outboxConformance, type StoreUnderTest } from "./transactions/outbox-conformance.ts";
export type { Checkpoint, ForeignNonce } from "./transactions/queue-state.ts";
export { sqliteOutbox } from "./transactions/sqlite-outbox.ts";
export { createTxQueue } from "./transactions/tx-queue.ts";
export type { TxQueueDeps, TxQueueOptions } from "./transactions/tx-queue-options.ts";
