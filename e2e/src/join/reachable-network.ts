import { type Rig, startRig } from "../rig/rig.ts";
import { type Relay, startRelay } from "./relay.ts";

/** A network whose services are reached by one more address than loopback, and say so: workers in containers or guests can join it. */
export interface ReachableNetwork {
  readonly rig: Rig;
  /** How workers reach the scheduler. */
  readonly scheduler: Pick<Relay, "host" | "port" | "url">;
  close(): Promise<void>;
}

/** SIDE EFFECTS: starts a network and relays. @param at - as for `startRelay` */
export async function startReachableNetwork(
  at: { readonly listenOn: string; readonly as: string; readonly wallets: number },
  signal: AbortSignal,
): Promise<ReachableNetwork> {
  const [scheduler, node, results] = await Promise.all([startRelay(at), startRelay(at), startRelay(at)]);
  const relays = [scheduler, node, results];
  const through = async (relay: Relay, url: string): Promise<string> => {
    relay.to(url);
    return relay.url;
  };
  try {
    const rig = await startRig(
      {
        wallets: at.wallets,
        publicSchedulerUrl: scheduler.url,
        nodeFor: async (who, url) => (who === "worker" ? through(node, url) : url),
        resultProxyFor: (url) => through(results, url),
      },
      signal,
    );
    scheduler.to(rig.network.schedulerUrl);
    return {
      rig,
      scheduler,
      async close() {
        await rig.close();
        await Promise.all(relays.map((relay) => relay.close()));
      },
    };
  } catch (thrown) {
    await Promise.all(relays.map((relay) => relay.close()));
    throw thrown;
  }
}
