import type { ErrorDescriptor } from "./descriptor.ts";

/** WRK-17xx: updating and leaving. */
export const UPDATE_ERRORS = {
  "WRK-1701": {
    message: "This copy cannot update itself: {program} is not in an installation",
    cause: "Only what `./run release --install` laid out has its versions side by side; images and source trees do not.",
    fix: "In a container run the join script with --update; from source, pull and build.",
    retry: "operator",
  },
  "WRK-1702": {
    message: "The release cannot be read from {url}: {reason}",
    cause: "The server does not answer, or answers with something else.",
    fix: "Check the address and try again; nothing was changed.",
    retry: "retry",
  },
  "WRK-1703": {
    message: "The release at {url} is refused: {reason}",
    cause: "It was not made by whoever made this installation, was changed on its way, or is too old to be trusted.",
    fix: "Do not install it. Ask the publisher of the worker; nothing was changed.",
    retry: "protocol",
  },
  "WRK-1704": {
    message: "Version {offered} is older than {known}, which was already offered to this installation",
    cause: "An old release is replayed, perhaps to bring back a fault that is known.",
    fix: "Ask the publisher. Nothing was changed.",
    retry: "protocol",
  },
  "WRK-1705": {
    message: "The workerpool requires version {required}, the release is {offered}",
    cause: "A scheduler refuses workers of another version.",
    fix: "Wait until the workerpool has moved on, or use --force if its operator agrees.",
    retry: "operator",
  },
  "WRK-1706": {
    message: "Version {version} does not run on this machine: {reason}",
    cause: "It was tried before anything was changed.",
    fix: "Report it to the publisher; the version that was there goes on.",
    retry: "operator",
  },
  "WRK-1707": {
    message: "Version {version} did not get well, version {back} is back: {reason}",
    cause: "After the change the worker ended, or did not reach its workerpool in time.",
    fix: "Read {log} and report it to the publisher. `iexec-worker update --force` tries the same version again.",
    retry: "operator",
  },
  "WRK-1708": {
    message: "{open} tasks are under way and no worker runs to finish them",
    cause: "A reveal may be due; another version must not come between.",
    fix: "`iexec-worker start`, then the same command: it lets the worker finish first.",
    retry: "operator",
  },
  "WRK-1709": {
    message: "Version {version} was tried before and did not get well",
    cause: "An update to it was rolled back.",
    fix: "Wait for the next version, or try again with --force.",
    retry: "operator",
  },
  "WRK-1710": {
    message: "{locked} RLC are still locked in tasks of this wallet",
    cause: "Their journal is needed to get them back.",
    fix: "`iexec-worker why-idle` and `iexec-worker task list --open` say what is awaited. Leave when nothing is locked, or give them up with --force.",
    retry: "operator",
  },
} as const satisfies Record<string, ErrorDescriptor>;
