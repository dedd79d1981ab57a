import { mkdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { CodedError, type Explanation, replaceFileSync } from "@iexec-ts/service";
import { z } from "zod";

/** Texts by the key of the setting; null takes the setting out of the file, so that its default counts. */
export type Wanted = Readonly<Record<string, string | null>>;

/** Errors: WRK-1540 a flag or the environment wins, WRK-1542 it is not live, WRK-2012 not a value of this setting. */
export function checkWanted(wanted: Wanted, explain: (key: string) => Explanation, path: string): void {
  for (const [key, text] of Object.entries(wanted)) {
    const { setting, origin } = explain(key);
    if (setting.reload !== "live") throw new CodedError("WRK-1542", { key, path });
    if (origin.source === "flag" || origin.source === "env")
      throw new CodedError("WRK-1540", { key, source: origin.source === "flag" ? "flag" : "environment variable", name: origin.name });
    const parsed = setting.schema.safeParse(text ?? undefined);
    if (!parsed.success)
      throw new CodedError("WRK-2012", {
        what: key,
        expected: parsed.error.issues.map(({ message }) => message).join(", "),
        got: text ?? "",
      });
  }
}

const fileSchema = z.record(z.string(), z.unknown());

/**
 * Changes some members of the settings file and leaves the others as they are.
 *
 * Errors: WRK-1541. SIDE EFFECTS: creates or replaces the file atomically, mode 0600.
 */
export function writeSettings(path: string, wanted: Wanted): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const content: Record<string, unknown> = { ...fileSchema.parse(JSON.parse(contentOf(path))) };
    for (const [key, text] of Object.entries(wanted)) {
      if (text === null) delete content[key];
      else content[key] = text;
    }
    replaceFileSync(path, `${JSON.stringify(content, undefined, 2)}\n`);
  } catch (thrown) {
    throw new CodedError("WRK-1541", { path, reason: thrown instanceof Error ? thrown.message : String(thrown) }, { cause: thrown });
  }
}

function contentOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") return "{}";
    throw thrown;
  }
}
