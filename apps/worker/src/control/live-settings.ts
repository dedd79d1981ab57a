import { CodedError, type Config, type Explanation, type Logger } from "@iexec-ts/service";
import type { WorkerSettings, workerConfig } from "../config.ts";

/** One setting that another reading of the settings file gave another value. */
export interface SettingChange {
  readonly key: string;
  readonly from: string;
  readonly to: string;
  /** False: it counts after a restart. */
  readonly live: boolean;
}

/** The settings of a running worker; those that are `live` may change while it runs. */
export interface LiveSettings {
  readonly current: WorkerSettings;
  /** The settings file, whether it is there or not; undefined for a worker that follows none. */
  readonly path: string | undefined;
  explain(key: string): Explanation;
  /** Called with what changed, also with what only counts after a restart. */
  onChange(listener: (changes: readonly SettingChange[]) => void): () => void;
  /** Errors: SVC-1101; nothing changes then. SIDE EFFECTS: reads the settings file; tells the listeners. */
  reload(): readonly SettingChange[];
}

type WorkerConfig = Config<(typeof workerConfig)["settings"]>;

/** Settings that never change, for a worker that has no file. */
export const fixedSettings = (settings: WorkerSettings): LiveSettings => ({
  current: settings,
  path: undefined,
  explain: (key) => {
    throw new CodedError("WRK-1542", { key, path: "its settings" });
  },
  onChange: () => () => undefined,
  reload: () => [],
});

/**
 * Settings that follow their file.
 *
 * @param read - reads all settings again
 * @param path - the file they are read from, whether it is there yet or not
 */
export function liveSettings(first: WorkerConfig, read: () => WorkerConfig, path: string, log: Logger): LiveSettings {
  const listeners = new Set<(changes: readonly SettingChange[]) => void>();
  let current: WorkerSettings = first.values;
  let said = first;
  return {
    get current() {
      return current;
    },
    path,
    explain: (key) => said.explain(key),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    reload() {
      const next = read();
      const changes = difference(said, next);
      said = next;
      if (changes.length === 0) return changes;
      const live = new Set(changes.filter((change) => change.live).map(({ key }) => key));
      current = { ...current, ...Object.fromEntries(Object.entries(next.values).filter(([key]) => live.has(key))) };
      for (const change of changes) {
        if (change.live) log.info("a setting changed", { ...change });
        else log.warn("a setting changed that counts after a restart", { ...change });
      }
      for (const listener of listeners) listener(changes);
      return changes;
    },
  };
}

/** What two readings say differently; a secret is never compared. */
function difference(before: WorkerConfig, after: WorkerConfig): readonly SettingChange[] {
  return after.explainAll().flatMap(({ key, value, setting }) => {
    const from = before.explain(key).value;
    return from === value ? [] : [{ key, from, to: value, live: setting.reload === "live" }];
  });
}
