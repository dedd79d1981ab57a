import { isIPv4 } from "node:net";
import Docker from "dockerode";
import { z } from "zod";
import { SecretWatch } from "../operator/secret-watch.ts";
import { type BuiltImages, buildImages } from "./images.ts";
import { type ReachableNetwork, startReachableNetwork } from "./reachable-network.ts";
import { run } from "./shell.ts";

const WALLETS = 12;
const SOCKET = "/var/run/docker.sock";
/** What the pool's join script starts; scenarios put newer images under this name. */
const [JOIN_REPOSITORY, JOIN_TAG] = ["iexec-e2e/worker", "join"] as const;
export const JOIN_IMAGE = `${JOIN_REPOSITORY}:${JOIN_TAG}`;
const RLC = 1_000_000_000n;
const JOIN = { workerImage: JOIN_IMAGE, deposit: 2n * RLC, gas: 10n ** 16n };
/** The engine's own bridge, by which containers reach this host. */
const bridgeSchema = z.object({ IPAM: z.object({ Config: z.array(z.object({ Gateway: z.string().optional(), Subnet: z.string() })) }) });

/**
 * Where containers reach this host. An engine that has just made its bridge tells its address only once it was started again; it is the
 * first of the network.
 */
async function bridgeAddress(docker: Docker): Promise<string> {
  const { Config } = bridgeSchema.parse(await docker.getNetwork("bridge").inspect()).IPAM;
  const network = Config.find(({ Subnet }) => isIPv4(Subnet.split("/")[0] ?? ""));
  if (network === undefined) throw new Error("the engine has no bridge of its own");
  return network.Gateway ?? network.Subnet.replace(/\d+\/\d+$/, "1");
}

/** What the scenarios of joining share; each part is made by the first scenario that needs it. */
export class JoinWorld {
  readonly #made = new Map<string, Promise<unknown>>();
  #offered = false;
  readonly #closers: (() => Promise<unknown>)[] = [];

  readonly docker = new Docker({ socketPath: SOCKET });

  /** The images of this source tree. */
  images(signal: AbortSignal): Promise<BuiltImages> {
    return this.shared("images", () => buildImages(signal));
  }

  /** The image of this source tree under the name of the pool's script. SIDE EFFECTS: tags it. */
  async offerImage(signal: AbortSignal): Promise<void> {
    const { worker } = await this.images(signal);
    await this.docker.getImage(worker.id).tag({ repo: JOIN_REPOSITORY, tag: JOIN_TAG });
    this.#offered = true;
  }

  /** Looks for secrets where they must not be, from the first scenario that has one. */
  watch(): Promise<SecretWatch> {
    return this.shared("watch", async () => {
      const watch = new SecretWatch(SOCKET);
      await watch.start();
      this.owned({ close: () => watch.stop() });
      return watch;
    });
  }

  /** A network that containers reach. */
  network(signal: AbortSignal): Promise<ReachableNetwork> {
    return this.shared("network", async () => {
      const address = await bridgeAddress(this.docker);
      return this.owned(await startReachableNetwork({ listenOn: address, as: address, wallets: WALLETS, join: JOIN }, signal));
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
    if (!this.#offered) return;
    const ending = AbortSignal.timeout(60_000);
    await run(["docker", "rmi", "-f", JOIN_IMAGE], ending);
    // What was published on the way and has no name any more.
    await run(["docker", "image", "prune", "-f", "--filter", "label=org.opencontainers.image.title=iexec-worker"], ending);
  }
}
