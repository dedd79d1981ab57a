import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

const SKIPPED = new Set(["node_modules", ".git", ".cache", "out", "coverage", "vendor"]);

function* markdownFiles(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && !SKIPPED.has(entry.name)) yield* markdownFiles(path);
    if (entry.isFile() && entry.name.endsWith(".md")) yield path;
  }
}

const withoutCode = (text: string): string => text.replace(/^(```|~~~).*?^\1/gms, "").replace(/`[^`\n]*`/g, "");

/** The anchor that GitHub gives a heading. */
export const slug = (heading: string): string =>
  heading
    .trim()
    .toLowerCase()
    .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replace(/\s/g, "-");

function anchors(text: string): ReadonlySet<string> {
  const found = new Set<string>();
  const seen = new Map<string, number>();
  for (const [, heading = ""] of text.replace(/^(```|~~~).*?^\1/gms, "").matchAll(/^#{1,6} +(.+?) *#*$/gm)) {
    const base = slug(heading);
    const times = seen.get(base) ?? 0;
    seen.set(base, times + 1);
    found.add(times === 0 ? base : `${base}-${times}`);
  }
  for (const [, id = ""] of text.matchAll(/<a (?:id|name)="([^"]+)"/g)) found.add(id);
  return found;
}

function linksOf(text: string): readonly string[] {
  const plain = withoutCode(text);
  const inline = [...plain.matchAll(/\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)/g)].map(([, target = ""]) => target);
  const references = [...plain.matchAll(/^\[[^\]]+\]: +(\S+)/gm)].map(([, target = ""]) => target);
  return [...inline, ...references];
}

export interface LinkReport {
  readonly files: number;
  readonly links: number;
  /** One sentence per broken link. */
  readonly broken: readonly string[];
}

/** Checks every link between the markdown files of a folder: file there, heading there. Links to other hosts are not followed. */
export function checkLinks(root: string): LinkReport {
  const files = [...markdownFiles(root)];
  const broken: string[] = [];
  let links = 0;
  for (const file of files) {
    for (const target of linksOf(readFileSync(file, "utf8"))) {
      if (/^[a-z][a-z0-9+.-]*:/i.test(target)) continue;
      links += 1;
      const [path = "", anchor] = target.split("#", 2);
      const wanted =
        path === "" ? file : resolve(path.startsWith("/") ? root : dirname(file), path.replace(/^\//, "").split("?", 1)[0] ?? "");
      const from = relative(root, file);
      if (!existsSync(wanted)) broken.push(`${from}: there is no ${target}`);
      else if (anchor !== undefined && statSync(wanted).isFile() && wanted.endsWith(".md")) {
        if (!anchors(readFileSync(wanted, "utf8")).has(decodeURIComponent(anchor))) broken.push(`${from}: ${target} has no such heading`);
      }
    }
  }
  return { files: files.length, links, broken };
}
