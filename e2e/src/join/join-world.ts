import { networkInterfaces } from "node:os";
import { SkipScenario } from "../scenario.ts";
import { type ReachableNetwork, startReachableNetwork } from "./reachable-network.ts";

const WALLETS = 12;
/** The engine's own bridge, by which containers reach this host. */
const BRIDGE = "docker0";

/** What the scenarios of joining share; each part is made by the first scenario that needs it. */
export class JoinWorld {
  readonly #made = new Map<string, Promise<unknown>>();
  readonly #closers: (() => Promise<unknown>)[] = [];

  /** A network that containers reach. */
  network(signal: AbortSignal): Promise<ReachableNetwork> {
    return this.shared("network", async () => {
      const address = networkInterfaces()[BRIDGE]?.find(({ family }) => family === "IPv4")?.address;
      if (address === undefined) throw new SkipScenario(`this host has no ${BRIDGE}`);
      return this.owned(await startReachableNetwork({ listenOn: address, as: address, wallets: WALLETS }, signal));
    });
  }

  /** Made once, also when scenarios ask again. */
  shared<T>(name: string, make: () => Promise<T>): Promise<T> {
    const known = this.#made.get(name);
    // Each name has one maker, so that the type is that of the maker.
    if (known !== undefined) return known as Promise<T>;
    const made = make();
    this.#made.set(name, made);
    made.catch(() => this.#made.delete(name));
    return made;
  }

  /** Ends with the world, last made first. */
  owned<T extends { close(): Promise<unknown> }>(part: T): T {
    this.#closers.push(() => part.close());
    return part;
  }

  async close(): Promise<void> {
    for (let end = this.#closers.pop(); end !== undefined; end = this.#closers.pop()) await end();
  }
}
