/**
 * Methods that let the node choose fees or nonce, sign for us, or keep state for us. viem falls back to something harmless when the node says
 * that it does not know them. Raw transactions go through `RpcPool.broadcast` only.
 */
export const FORBIDDEN_METHODS: ReadonlySet<string> = new Set([
  "eth_fillTransaction",
  "eth_sendTransaction",
  "eth_sendRawTransaction",
  "eth_sendRawTransactionSync",
  "eth_signTransaction",
  "eth_sign",
  "eth_newFilter",
  "eth_newBlockFilter",
  "eth_newPendingTransactionFilter",
  "wallet_sendTransaction",
]);
