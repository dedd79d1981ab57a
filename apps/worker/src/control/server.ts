import { chmodSync, rmSync } from "node:fs";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { CodedError, type Logger } from "@iexec-ts/service";
import { type Facts, failedLine, type Line, MAX_SOCKET_PATH_BYTES } from "./wire.ts";

/** Not by `import`: that reads every member of the module, and one of them loads a second HTTP client of 11 MiB. */
const { createServer } = process.getBuiltinModule("node:http");

/** One thing a running worker does for its operator. `input` is not trusted; `tell` resolves when the line is on its way. */
export type Action = (input: unknown, tell: (facts: Facts) => Promise<void>, signal: AbortSignal) => Promise<Facts>;

export interface ControlServer {
  /** Ends what is running; the socket is gone afterwards. */
  close(): Promise<void>;
}

const MAX_BODY_CHARACTERS = 64 * 1_024;
const SOCKET_MODE = 0o600;

/**
 * Opens the socket for the operator's commands. The wallet's lock must be held: what lies at `path` is then a leftover.
 *
 * Errors: WRK-1514. SIDE EFFECTS: listens; removes a socket that an earlier run left.
 */
export async function serveControl(path: string, actions: Readonly<Record<string, Action>>, log: Logger): Promise<ControlServer> {
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) throw new CodedError("WRK-1514", { path, reason: "the path is too long" });
  const server = createServer((request, response) => void answer(request, response, actions, log));
  server.requestTimeout = 0;
  rmSync(path, { force: true });
  await listen(server, path);
  // Also when the end of the grace period cuts everything else short.
  const atExit = () => rmSync(path, { force: true });
  process.once("exit", atExit);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          process.off("exit", atExit);
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

/** The file is never open to others: it is made under a mask, in the same turn. */
async function listen(server: Server, path: string): Promise<void> {
  const mask = process.umask(0o177);
  const listening = new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
  process.umask(mask);
  try {
    await listening;
    chmodSync(path, SOCKET_MODE);
  } catch (thrown) {
    server.close();
    throw new CodedError("WRK-1514", { path, reason: thrown instanceof Error ? thrown.message : String(thrown) }, { cause: thrown });
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  actions: Readonly<Record<string, Action>>,
  log: Logger,
): Promise<void> {
  const name = (request.url ?? "/").slice(1);
  const write = (line: Line): Promise<void> =>
    new Promise((resolve) => {
      // A reader that went away is no fault of the action.
      response.write(`${JSON.stringify(line)}\n`, () => resolve());
    });
  // A person who leaves ends what only they waited for.
  const left = new AbortController();
  response.once("close", () => left.abort(new CodedError("WRK-1518", { what: name, reason: "the command went away" })));
  try {
    const action = Object.hasOwn(actions, name) && request.method === "POST" ? actions[name] : undefined;
    if (action === undefined) throw new CodedError("WRK-1518", { what: name, reason: "it is not known" });
    const input = await bodyOf(request, name);
    // Commands that only look come all the time.
    log[name === "state" ? "debug" : "info"]("the operator asks", { action: name });
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    await write({ done: await action(input, (told) => write({ told }), left.signal) });
  } catch (thrown) {
    const error = CodedError.from(thrown);
    if (!left.signal.aborted) log.warn("refused to the operator", { action: name, error });
    await write(failedLine(error));
  }
  response.end();
}

async function bodyOf(request: IncomingMessage, what: string): Promise<unknown> {
  let text = "";
  request.setEncoding("utf8");
  for await (const chunk of request) {
    text += String(chunk);
    if (text.length > MAX_BODY_CHARACTERS) throw new CodedError("WRK-1518", { what, reason: "too long" });
  }
  try {
    return text === "" ? {} : JSON.parse(text);
  } catch {
    throw new CodedError("WRK-1518", { what, reason: "not JSON" });
  }
}
