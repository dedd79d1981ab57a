import { type Address, lowerHex } from "@iexec-ts/poco";
import type { PublicChainConfig, PublicConfiguration, ReportAnswer, SchedulerPort, StatusReport, TaskNotification } from "@iexec-ts/wire";
import type { WaitingRoom } from "./demand/waiting-room.ts";
import type { WorkerRegistry } from "./workers/registry.ts";

/** Longest a question for work is held; wire bounds it further. */
const MAX_WAIT_MS = 50_000;

/** The scheduler as the wire sees it. Every call of a worker counts as a sign of life. */
export function createPort(deps: {
  readonly version: string;
  readonly configuration: () => PublicConfiguration;
  readonly chain: () => PublicChainConfig;
  readonly whitelist: ReadonlySet<Address>;
  readonly registry: WorkerRegistry;
  readonly room: WaitingRoom;
  readonly reports: { report(wallet: Address, report: StatusReport): Promise<ReportAnswer> };
  readonly interrupted: (wallet: Address) => Promise<readonly TaskNotification[]>;
}): SchedulerPort {
  const { registry, whitelist, room, reports, interrupted } = deps;
  return {
    version: deps.version,
    configuration: deps.configuration,
    chainConfiguration: deps.chain,
    isAllowed: async (wallet) => whitelist.size === 0 || whitelist.has(lowerHex(wallet)),
    register: (wallet, me) => registry.register(lowerHex(wallet), me),
    ping: (wallet) => registry.alive(lowerHex(wallet)),
    computing: (wallet) => registry.computing(lowerHex(wallet)),
    async demand(wallet, { blockNumber, waitMs }, signal) {
      if (blockNumber <= 0n) return undefined;
      const offer = await room.ask(lowerHex(wallet), Math.min(waitMs, MAX_WAIT_MS), signal);
      return offer.kind === "assigned" ? offer.assignment : undefined;
    },
    async interrupted(wallet) {
      await registry.alive(lowerHex(wallet));
      return await interrupted(lowerHex(wallet));
    },
    async report(wallet, report) {
      await registry.alive(lowerHex(wallet));
      return await reports.report(lowerHex(wallet), { ...report, taskId: lowerHex(report.taskId) });
    },
  };
}
