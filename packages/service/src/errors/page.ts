import type { ErrorDescriptor } from "./descriptor.ts";

/** The worker's page, and what it finds out about trusted execution. */
export const PAGE_ERRORS = {
  "WRK-1601": {
    message: "{hardware} is asked for but not usable on this machine: {reason}",
    cause:
      "The settings ask for trusted execution, and a step from the CPU to the device is missing. The worker runs, but takes no TEE tasks.",
    fix: "Run `iexec-worker doctor`: it walks from CPU to device and names the missing step. Or set {setting} to {off}.",
    retry: "operator",
  },
  "WRK-1602": {
    message: "The page is already open {most} times",
    cause: "Each open page holds a connection to the worker, and their number is limited.",
    fix: "Close some of the open pages; this one tries again by itself.",
    retry: "retry",
  },
  "WRK-1603": {
    message: "The page does not answer to the host name {host}",
    cause: "The page listens on this machine only. A name that leads here may have been made up by a web site that wants to read it.",
    fix: "Open http://127.0.0.1 or http://localhost with the worker's port. A reverse proxy must pass one of these as Host.",
    retry: "operator",
  },
} as const satisfies Record<string, ErrorDescriptor>;
