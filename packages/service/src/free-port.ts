import { once } from "node:events";
import { createServer } from "node:net";

/**
 * A TCP port that nothing listened on a moment ago. Another program may take it before you do: prefer port 0 where the listener can tell
 * which port it got.
 *
 * SIDE EFFECTS: listens on the port for an instant.
 */
export async function freePort(host = "127.0.0.1"): Promise<number> {
  const server = createServer();
  server.listen(0, host);
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new TypeError("a TCP server has a numeric port");
  return address.port;
}
