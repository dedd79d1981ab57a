import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/** A port on one more address of this host, passed on to a service that listens on loopback. */
export interface Relay {
  readonly host: string;
  readonly port: number;
  /** As seen from where the relay is meant to be reached. */
  readonly url: string;
  /** SIDE EFFECTS: from now on connections go to this URL's host and port. */
  to(url: string): void;
  close(): Promise<void>;
}

/**
 * SIDE EFFECTS: listens on a port the system chooses.
 * @param at - `listenOn`: address of this host; `as`: the name or address by which others reach it
 */
export async function startRelay(at: { readonly listenOn: string; readonly as: string }): Promise<Relay> {
  let target: URL | undefined;
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    if (target === undefined) {
      near.destroy();
      return;
    }
    const far = connect(Number(target.port), target.hostname);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    near.pipe(far).pipe(near);
  });
  server.listen(0, at.listenOn);
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const { port } = address;
  return {
    host: at.as,
    port,
    url: `http://${at.as}:${port}`,
    to: (url) => {
      target = new URL(url);
    },
    close: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
