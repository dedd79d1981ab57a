import type { Server } from "node:http";
import { CodedError } from "@iexec-ts/service";

export interface ListeningProxy {
  readonly url: string;
  readonly port: number;
  /** Cuts every connection. Idempotent. */
  stop(): Promise<void>;
}

/** Listens on loopback. Errors: NET-1001. */
export async function listen(server: Server, port: number, program: string): Promise<ListeningProxy> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => reject(new CodedError("NET-1001", { port, program }, { cause })));
    server.listen(port, "127.0.0.1", resolve);
  });
  server.unref();
  const address = server.address();
  const bound = typeof address === "object" && address !== null ? address.port : port;
  return {
    url: `http://127.0.0.1:${bound}`,
    port: bound,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
