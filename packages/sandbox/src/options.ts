import type { Clock, Watchdog } from "@iexec-ts/service";
import type { RegistryCredentials } from "./api.ts";
import type { Firewall } from "./egress-guard.ts";
import type { ImageUses } from "./image-uses.ts";

/**
 * How tight the container is.
 *
 * - `standard`: no capability, read-only root, the image's own user
 * - `strict`: as standard, and never as root (uid 10001)
 * - `compat`: the five capabilities package installers need, writable root (its size counts against `outputBytes`)
 */
export type Profile = "standard" | "strict" | "compat";

/** Address an isolated app may reach although its range is blocked. */
export interface AllowedAddress {
  readonly cidr: string;
  /** Undefined: every TCP port. */
  readonly port?: number;
}

export interface EgressOptions {
  /**
   * `best-effort`: an isolated run starts without firewall rules where they cannot be written, with a warning.
   * `required`: such a run is refused (SBX-1401). `off`: no rules are written.
   *
   * @default "best-effort"
   */
  readonly guard?: "best-effort" | "required" | "off";
  readonly allow?: readonly AllowedAddress[];
  /** Ranges blocked in addition to the private ones, for example the operator's own public range. */
  readonly block?: readonly string[];
  /**
   * Resolvers the apps use; only these are let through on port 53.
   *
   * @default those of this host
   */
  readonly dns?: readonly string[];
}

export interface DockerSandboxOptions {
  /** @default "/var/run/docker.sock" */
  readonly socketPath?: string;
  /** `unix:///path` or `tcp://host:port`; wins over `socketPath`. */
  readonly host?: string;
  /** PEM texts for a `tcp` host that asks for client certificates. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
  /** `auto`: gVisor (`runsc`) when the engine lists it, else its default. @default "auto" */
  readonly runtime?: "auto" | "runc" | "runsc";
  /** @default "standard" */
  readonly profile?: Profile;
  /** Puts a small init in front of the app, so that orphans are reaped and signals work. @default true */
  readonly init?: boolean;
  readonly registryCredentials?: readonly RegistryCredentials[];
  readonly egress?: EgressOptions;
  /**
   * How log bytes become text. `stream` joins the frames first; `frames` decodes each frame alone, as the Java worker does.
   *
   * Both give the same text with the `json-file` driver of the engine, which has already replaced each byte of a character that straddles
   * a 16 KiB boundary inside one line by U+FFFD. They differ only on engines whose API frames carry raw bytes.
   *
   * @default "stream"
   */
  readonly decode?: "stream" | "frames";
  /** Id of the container this process runs in, whose network is not the host's: the firewall is then reached through the engine. */
  readonly ownContainer?: string;
  /** Entries (files, folders, links) the output may have. @default 100_000 */
  readonly outputEntries?: number;
  /** Longest time in milliseconds in which the engine may tell of no progress of a pull. @default 180_000 */
  readonly pullSilenceMs?: number;
  /** Longest wait for one short call to the engine, and longest silence within a log, in milliseconds. @default 60_000 */
  readonly callTimeoutMs?: number;
}

export interface SandboxLogger {
  info(message: string, fields: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields: Readonly<Record<string, unknown>>): void;
}

export interface DockerSandboxDeps {
  readonly clock: Clock;
  readonly logger?: SandboxLogger;
  /** Uniform in [0, 1), for the jitter of back-offs. */
  readonly random?: () => number;
  readonly firewall?: Firewall;
  /** Watches over what follows the containers; one of its own unless given. */
  readonly watchdog?: Watchdog;
  /** Which images this worker pulled and when it last used them; in memory unless given. */
  readonly imageUses?: ImageUses;
}
