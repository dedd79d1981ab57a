import type { ErrorDescriptor } from "./descriptor.ts";

/** Errors of the chain package: 10xx nodes, 20xx contracts, 30xx transactions. */
export const CHAIN_ERRORS = {
  "CHN-1001": {
    message: "The node at {url} did not answer {method}: {reason}",
    cause: "The node is down, too slow, unreachable from here, or limits how often it is asked.",
    fix: "Nothing if other nodes are configured; otherwise check the node's address, or add a second one.",
    retry: "retry",
  },
  "CHN-1002": {
    message: "The node at {url} gave an answer to {method} that cannot be read: {reason}",
    cause: "The address is not that of an Ethereum JSON-RPC node, or a proxy between answers in its place.",
    fix: "Check the node's address.",
    retry: "environment",
  },
  "CHN-1003": {
    message: "No healthy node for {method}: {reason}",
    cause: "Every configured node is unreachable, on another chain, or behind a block that was already seen.",
    fix: "Look at the states of the nodes; bring one back, or add one that is in sync.",
    retry: "retry",
  },
  "CHN-1004": {
    message: "No node of chain {expected} among the configured ones: {reason}",
    cause: "The nodes that answer belong to another chain, or do not hold the PoCo contracts.",
    fix: "Compare the chain id, the hub address and the node addresses in the settings.",
    retry: "operator",
  },
  "CHN-1005": {
    message: "The chain client is closed",
    cause: "The program is stopping.",
    fix: "Nothing; the work goes on after the next start.",
    retry: "retry",
  },
  "CHN-1006": {
    message: "Node address {url} is not usable: {reason}",
    cause: "The address has a typing error or an unsupported scheme.",
    fix: "Use an http, https, ws or wss address.",
    retry: "operator",
  },
  "CHN-2001": {
    message: "There is no PoCo hub at {address}: {reason}",
    cause: "The hub address is wrong for this chain, or the node is not in sync yet.",
    fix: "Compare the hub address with the documentation of the network.",
    retry: "operator",
  },
  "CHN-2002": {
    message: "Reading {what} from the contracts failed: {reason}",
    cause: "A node answered a contract read with an error, or with bytes that do not fit the contract.",
    fix: "If it stays, try another node; if all agree, the contracts differ from those this version knows.",
    retry: "retry",
  },
  "CHN-3001": {
    message: "Intent {id} already exists with another content",
    cause: "One id was used for two different effects; an effect is never sent twice.",
    fix: "Report it with the support bundle.",
    retry: "bug",
  },
  "CHN-3002": {
    message: "There is no transaction {id} on its way",
    cause: "It is unknown, was never sent, or is already mined.",
    fix: "List the transactions; only one in state `sent` can be replaced.",
    retry: "operator",
  },
  "CHN-3003": {
    message: "Transaction {id} cannot be replaced: {reason}",
    cause:
      "A replacement must pay at least 12.5 % more on both fee fields, and may not pay more than the gas price cap or than the wallet holds.",
    fix: "Raise the gas price cap, or wait until the network gets cheaper.",
    retry: "operator",
  },
  "CHN-3004": {
    message: "The transaction queue is closed",
    cause: "The program is stopping. What was journalled is sent after the next start.",
    fix: "Nothing; submit the same intent after the next start.",
    retry: "retry",
  },
  "CHN-3005": {
    message: "The chain shows nonce {latest} for {address}, but our transaction with nonce {ours} was final",
    cause: "The node follows another or an older chain (a development chain that was reset), or finality was undone.",
    fix: "Check that the node is on the right chain and in sync. If a development chain was reset, start with an empty data directory.",
    retry: "operator",
  },
  "CHN-3006": {
    message: "Nonce {nonce} already belongs to another record of this outbox",
    cause: "Two transaction queues write to one outbox.",
    fix: "Run one worker per wallet and data directory.",
    retry: "bug",
  },
  "CHN-3007": {
    message: "The outbox belongs to wallet {theirs}, not to {ours}",
    cause: "The keystore was replaced while the data directory was kept.",
    fix: "Start with the former keystore, or with an empty data directory.",
    retry: "operator",
  },
  "CHN-3008": {
    message: "The receipt of {hash} is no longer available",
    cause: "The transaction was final long ago and the node has pruned its receipts.",
    fix: "Read the state of the contract instead, or use a node that keeps receipts.",
    retry: "environment",
  },
  "CHN-3009": {
    message: "There is no record {id} in the outbox",
    cause: "A state was reported for an intent that was never opened.",
    fix: "Report it with the support bundle.",
    retry: "bug",
  },
  "CHN-3010": {
    message: "The outbox record {id} was changed meanwhile, so a late change of it was refused",
    cause: "A call to the outbox hung, was given up, and arrived after all.",
    fix: "Nothing: the transaction queue has gone on without it.",
    retry: "retry",
  },
} as const satisfies Record<string, ErrorDescriptor>;
