import type { ErrorDescriptor } from "./descriptor.ts";

export const PROXY_ERRORS = {
  "PRX-1001": {
    message: "The request is not signed by {wallet}",
    cause: "The Authorization header is not the wallet's signature of the authorization's hash.",
    fix: "Sign with the wallet that the authorization names.",
    retry: "protocol",
  },
  "PRX-1002": {
    message: "The token is not accepted: {reason}",
    cause: "The token is missing, expired, or was not issued by this result proxy.",
    fix: "Ask for a new token at /v1/results/token.",
    retry: "protocol",
  },
  "PRX-1003": {
    message: "Task {taskId} is not known on chain",
    cause: "The task was never initialized, is on another chain, or this proxy's node is behind.",
    fix: "Check that worker and proxy use the same chain and hub; try again in a few blocks.",
    retry: "retry",
  },
  "PRX-1004": {
    message: "The final deadline of task {taskId} has passed",
    cause: "A result is of no use once the task can no longer be finalized.",
    fix: "Nothing to do: the requester can claim the task.",
    retry: "protocol",
  },
  "PRX-1005": {
    message: "The authorization of task {taskId} does not fit: {reason}",
    cause: "The authorization names another deal or index, or its enclave challenge contradicts the deal's tag.",
    fix: "Use the authorization as the scheduler gave it.",
    retry: "protocol",
  },
  "PRX-1006": {
    message: "The authorization of task {taskId} is not signed by {expected}",
    cause: "Only the owner of the deal's workerpool may authorize a worker.",
    fix: "Use the authorization as the scheduler gave it.",
    retry: "protocol",
  },
  "PRX-1010": {
    message: "Task {taskId} is {status}, a result is accepted while it is {expected}",
    cause: "Standard results are uploaded after the consensus, TEE results before it.",
    fix: "Upload when the scheduler asks for it.",
    retry: "protocol",
  },
  "PRX-1011": {
    message: "The contribution of {wallet} to task {taskId} is {status}, not PROVED",
    cause: "Only a worker that has revealed its contribution may upload the result.",
    fix: "Reveal first.",
    retry: "protocol",
  },
  "PRX-1012": {
    message: "The result of task {taskId} has the digest {digest}, which is not the one on chain",
    cause: "The archive does not hold the files from which the contributed digest was computed.",
    fix: "Upload the archive that was sealed together with the digest.",
    retry: "protocol",
  },
  "PRX-1013": {
    message: "The enclave signature of the result of task {taskId} is not valid",
    cause: "The result was not signed by the enclave key of this task, or the task was never authorized here.",
    fix: "Ask for a token first; let the post-compute stage sign and upload.",
    retry: "protocol",
  },
  "PRX-1014": {
    message: "The upload is larger than {limit} bytes",
    cause: "The archive exceeds the proxy's limit.",
    fix: "The operator of the proxy may raise the limit; the app may write less.",
    retry: "protocol",
  },
  "PRX-1015": {
    message: "Task {taskId} already has a result, with another digest",
    cause: "A task has one result; it was uploaded before.",
    fix: "Ask /v1/results/{taskId}/ipfshash for the stored one.",
    retry: "protocol",
  },
  "PRX-1016": {
    message: "Too many uploads at once",
    cause: "The proxy takes a bounded number of uploads at the same time.",
    fix: "Try again in a moment; the operator may raise the limit or add an instance.",
    retry: "retry",
  },
  "PRX-1017": {
    message: "The upload was cut short",
    cause: "The connection broke before the whole archive had arrived.",
    fix: "Upload again.",
    retry: "retry",
  },
  "PRX-1018": {
    message: "The proxy cannot store the upload: {reason}",
    cause: "The disk is full, or the data folder cannot be written.",
    fix: "Free disk space; check the permissions of the data folder.",
    retry: "environment",
  },
  "PRX-1019": {
    message: "The request is not understood: {reason}",
    cause: "The body or a parameter does not have the expected shape.",
    fix: "See /openapi.json for the shape.",
    retry: "protocol",
  },
  "PRX-1020": {
    message: "Task {taskId} has no result here",
    cause: "Nothing was uploaded for this task, or its content was removed.",
    fix: "Upload the result first.",
    retry: "retry",
  },
  "PRX-1021": {
    message: "Nothing of the upload has come for {seconds} s",
    cause: "The sender or the network between stands still.",
    fix: "Upload again.",
    retry: "retry",
  },
  "PRX-1030": {
    message: "The database failed: {reason}",
    cause: "Postgres does not answer, or refuses the credentials.",
    fix: "Check DATABASE_URL and that Postgres is running.",
    retry: "environment",
  },
} as const satisfies Record<string, ErrorDescriptor>;
