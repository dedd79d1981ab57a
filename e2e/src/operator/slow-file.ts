import { createServer } from "node:http";

/** A file server that answers only when it is told to. */
export async function slowFile(): Promise<{ readonly url: string; release(): void; close(): Promise<void> }> {
  const gate = Promise.withResolvers<void>();
  const server = createServer((_, response) => {
    response.writeHead(200, { "content-type": "text/plain", "content-length": "4" });
    response.write("sl");
    void gate.promise.then(() => response.end("ow"));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    url: `http://127.0.0.1:${address.port}/slow.txt`,
    release: () => gate.resolve(),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
