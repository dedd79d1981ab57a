import { existsSync, watch } from "node:fs";
import { basename, dirname } from "node:path";
import { CodedError, type Logger } from "@iexec-ts/service";

/** Editors write in several steps. */
const SETTLE_MS = 200;

/**
 * Calls back when a file was written, or when the process gets SIGHUP, as for folders that do not tell of changes.
 *
 * SIDE EFFECTS: watches the file's folder. @returns a function that ends it
 */
export function followFile(path: string, changed: () => void, log: Logger): () => void {
  let timer: NodeJS.Timeout | undefined;
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(changed, SETTLE_MS);
  };
  const folder = dirname(path);
  const watcher = existsSync(folder)
    ? watch(folder, { persistent: false }, (_, name) => {
        if (name === null || name === basename(path)) soon();
      })
    : undefined;
  watcher?.on("error", (thrown) => log.warn("the settings file is not watched any more; use SIGHUP", { error: CodedError.from(thrown) }));
  process.on("SIGHUP", changed);
  return () => {
    clearTimeout(timer);
    watcher?.close();
    process.off("SIGHUP", changed);
  };
}
