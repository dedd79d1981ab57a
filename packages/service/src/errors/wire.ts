import type { ErrorDescriptor } from "./descriptor.ts";

export const WIRE_ERRORS = {
  "WIR-1001": {
    message: "The scheduler at {url} does not answer: {reason}",
    cause: "The scheduler is down, its address is wrong, or the network between is cut.",
    fix: "Check the scheduler's address and that this host reaches it; the worker tries again by itself.",
    retry: "retry",
  },
  "WIR-1002": {
    message: "The scheduler at {url} cannot answer now (HTTP {status})",
    cause: "The scheduler is starting, overloaded, or has lost its chain node.",
    fix: "Nothing to do; the worker tries again. If it lasts, tell the pool's operator.",
    retry: "retry",
  },
  "WIR-1003": {
    message: "The answer of {url} is not what the protocol says: {reason}",
    cause: "The address is not a scheduler's, a proxy answers in its place, or the scheduler speaks a version this worker does not know.",
    fix: "Open the address in a browser and check that it is the scheduler; update the worker if the pool was updated.",
    retry: "protocol",
  },
  "WIR-1004": {
    message: "The answer of {url} is larger than {limit} bytes",
    cause: "The address is not a scheduler's, or the peer misbehaves.",
    fix: "Check the scheduler's address.",
    retry: "protocol",
  },
  "WIR-1005": {
    message: "The scheduler at {url} refuses the request (HTTP {status})",
    cause: "The scheduler does not understand this request, usually because its version differs.",
    fix: "Compare the versions of worker and scheduler; report it with the support bundle if they match.",
    retry: "protocol",
  },
  "WIR-1006": {
    message: "The link to the scheduler is closed",
    cause: "The worker is stopping, or it closed this link to open another.",
    fix: "Nothing to do.",
    retry: "environment",
  },
  "WIR-1101": {
    message: "The scheduler at {url} does not let wallet {wallet} in",
    cause: "The wallet is not on the pool's list of allowed workers, or the signature was not accepted.",
    fix: "Ask the pool's operator to allow this wallet, or use the wallet that is allowed.",
    retry: "operator",
  },
  "WIR-1102": {
    message: "The scheduler at {url} refuses a token it has just issued",
    cause: "Several schedulers answer at this address without sharing their login key, or another worker uses the same wallet.",
    fix: "Run one worker per wallet; give all schedulers of the pool the same login key.",
    retry: "retry",
  },
  "WIR-1201": {
    message: "The scheduler requires worker version {required}, this worker is {version}",
    cause: "The pool accepts one exact worker version.",
    fix: "Install worker version {required}, or join a pool that accepts {version}.",
    retry: "operator",
  },
  "WIR-1202": {
    message: "The scheduler at {url} does not speak the native dialect",
    cause: "The native dialect was asked for, but the scheduler is of another make or older.",
    fix: "Set the dialect to auto or v9.",
    retry: "operator",
  },
  "WIR-1301": {
    message: "The push channel of {url} is lost: {reason}",
    cause: "The connection broke or its peer closed it.",
    fix: "Nothing to do; it is opened again and missed notifications are asked for.",
    retry: "retry",
  },
  "WIR-1302": {
    message: "Malformed STOMP frame: {reason}",
    cause: "The peer does not speak STOMP 1.1 or 1.2, or broke a limit.",
    fix: "Check that the push address is the scheduler's.",
    retry: "protocol",
  },
  "WIR-2001": {
    message: "The request is malformed: {reason}",
    cause: "A client sent something this API does not know.",
    fix: "Compare the request with the API reference.",
    retry: "protocol",
  },
  "WIR-2002": {
    message: "The login key has {bytes} bytes, at least 32 are needed",
    cause: "The scheduler was given too short a login key.",
    fix: "Give a random key of 32 bytes or more, the same to every scheduler of the pool.",
    retry: "operator",
  },
} as const satisfies Record<string, ErrorDescriptor>;
