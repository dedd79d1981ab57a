import { connect, createServer, type Socket } from "node:net";

/** A way to a server on which both ends can be made to hear nothing more of each other, as on a network that drops everything. */
export interface MuteRelay {
  /** The address of the server, by way of the relay. */
  readonly url: string;
  /** From now on nothing passes any more on the connections there are; new ones work. */
  mute(): void;
  close(): Promise<void>;
}

/** SIDE EFFECTS: listens on loopback. */
export async function startMuteRelay(target: string): Promise<MuteRelay> {
  const { hostname, port } = new URL(target);
  const pairs = new Set<readonly [Socket, Socket]>();
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    const pair = [near, far] as const;
    pairs.add(pair);
    near.pipe(far);
    far.pipe(near);
    for (const socket of pair) socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const url = new URL(target);
  url.hostname = "127.0.0.1";
  url.port = String(typeof address === "object" && address !== null ? address.port : 0);
  return {
    url: url.href,
    mute() {
      for (const [near, far] of pairs) {
        near.unpipe(far);
        far.unpipe(near);
      }
    },
    close: () =>
      new Promise((resolve) => {
        for (const pair of pairs) for (const socket of pair) socket.destroy();
        server.close(() => resolve());
      }),
  };
}
