import type { Wanted } from "../control/settings-file.ts";

/** Whole ways to work, by the words an operator uses. */
export const PRESETS: Readonly<Record<string, { readonly meaning: string; readonly wanted: Wanted }>> = {
  always: { meaning: "all the time", wanted: { hours: null, onlyWhenIdle: null } },
  idle: { meaning: "only while nobody uses this machine", wanted: { hours: null, onlyWhenIdle: "true" } },
  nights: {
    meaning: "at night (20:00 to 8:00) and on weekends",
    wanted: { hours: "mon-fri 00:00-08:00, mon-fri 20:00-24:00, sat-sun", onlyWhenIdle: null },
  },
  off: { meaning: "no new tasks; what is under way goes on", wanted: { hours: "never", onlyWhenIdle: null } },
};

/** The preset these settings amount to. */
export function presetOf({ hours, onlyWhenIdle }: { readonly hours: object; readonly onlyWhenIdle: boolean }): string {
  const text = String(hours);
  const found = Object.entries(PRESETS).find(
    ([, { wanted }]) => (wanted.hours ?? "always") === text && (wanted.onlyWhenIdle ?? "false") === String(onlyWhenIdle),
  );
  return found?.[0] ?? "your own";
}
