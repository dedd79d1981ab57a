import { createInterface } from "node:readline";
import { errorOf, type Facts, lineSchema } from "./wire.ts";

/** Not by `import`: see ./server.ts. */
const { request } = process.getBuiltinModule("node:http");

/** What became of a request to a worker. */
export type Answer =
  | { readonly kind: "done"; readonly facts: Facts }
  /** The connection ended without an answer: the worker is gone. */
  | { readonly kind: "gone" }
  /** Nobody listens there. */
  | { readonly kind: "nobody"; readonly reason: string };

/**
 * Asks the worker behind a socket for one thing and waits for its answer, however long that takes.
 *
 * @param tell - called for each line that comes before the answer
 * Errors: those of the action.
 * SIDE EFFECTS: those of the action.
 */
export function askWorker(
  path: string,
  action: string,
  input: Facts,
  options: { readonly signal: AbortSignal; readonly tell?: (facts: Facts) => void },
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let answered = false;
    let reached = false;
    const settle = (done: () => void) => {
      answered = true;
      done();
    };
    const asked = request({ socketPath: path, method: "POST", path: `/${action}`, signal: options.signal });
    asked.on("error", (error) => {
      if (answered) return;
      if (options.signal.aborted) settle(() => reject(options.signal.reason));
      else settle(() => resolve(reached ? { kind: "gone" } : { kind: "nobody", reason: error.message }));
    });
    asked.once("response", (response) => {
      reached = true;
      // A worker that ends cuts the connection.
      const ignore = () => undefined;
      const lines = createInterface({ input: response, crlfDelay: Number.POSITIVE_INFINITY });
      lines.on("line", (text) => {
        const line = lineSchema.safeParse(parse(text));
        if (!line.success) return;
        if ("told" in line.data) options.tell?.(line.data.told);
        else if ("done" in line.data) {
          const { done } = line.data;
          settle(() => resolve({ kind: "done", facts: done }));
        } else {
          const { failed } = line.data;
          settle(() => reject(errorOf(failed)));
        }
      });
      lines.on("error", ignore);
      response.on("error", ignore);
      response.once("close", () => {
        if (!answered) settle(() => (options.signal.aborted ? reject(options.signal.reason) : resolve({ kind: "gone" })));
      });
    });
    asked.end(JSON.stringify(input));
  });
}

/** A line that was cut off is no line. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
