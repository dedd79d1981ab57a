import { readFileSync } from "node:fs";

/** Set by the bundler: the files of deploy/join. */
declare const JOIN_FILES: Readonly<Record<string, string>> | undefined;

export const JOIN_TEMPLATES = ["worker.sh", "page.html", "page.css"] as const;
export type JoinTemplate = (typeof JOIN_TEMPLATES)[number];

const read = new Map<JoinTemplate, string>();

/** A file of deploy/join: from the bundle, or from the source tree. */
export function template(name: JoinTemplate): string {
  const known = read.get(name);
  if (known !== undefined) return known;
  const text =
    typeof JOIN_FILES === "undefined"
      ? readFileSync(new URL(`../../../../deploy/join/${name}`, import.meta.url), "utf8")
      : (JOIN_FILES[name] ?? "");
  read.set(name, text);
  return text;
}

/** Puts values in place of their `@@NAME@@`, each made safe for where it stands. */
export const fill = (text: string, values: Readonly<Record<string, string>>, safe: (value: string) => string): string =>
  text.replaceAll(/@@([A-Z0-9_]+)@@/g, (whole, name: string) => {
    const value = values[name];
    return value === undefined ? whole : safe(value);
  });

/** Inside single quotes of a shell. */
export const shellSafe = (value: string): string => value.replaceAll("'", "'\\''");

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

export const htmlSafe = (value: string): string => value.replaceAll(/[&<>"]/g, (sign) => ENTITIES[sign] ?? sign);
