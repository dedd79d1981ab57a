/** `./run docs`: writes the generated reference; with `--check` only compares and names what differs. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { ROOT } from "./lib/program.ts";
import { configPage, errorsPage, isConfigShape, type Page, statusesPage } from "./lib/reference.ts";

const APPS: readonly { readonly app: string; readonly definition: string }[] = [
  { app: "worker", definition: "workerConfig" },
  { app: "scheduler", definition: "schedulerConfig" },
  { app: "result-proxy", definition: "resultProxyConfig" },
  { app: "network", definition: "networkConfig" },
];

const say = (text: string): void => void process.stderr.write(`docs: ${text}\n`);

interface Found {
  readonly pages: readonly Page[];
  /** Apps that could not be loaded, so that their pages are unknown. */
  readonly unknown: readonly string[];
}

async function configPages(): Promise<Found> {
  const pages: Page[] = [];
  const unknown: string[] = [];
  for (const { app, definition } of APPS) {
    try {
      const exported: Readonly<Record<string, unknown>> = await import(`@iexec-ts/${app}`);
      const found = exported[definition];
      if (isConfigShape(found)) pages.push(configPage(app, found));
      else say(`@iexec-ts/${app} exports no ${definition}: no page for it`);
    } catch (thrown) {
      say(`@iexec-ts/${app} cannot be loaded: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
      unknown.push(app);
    }
  }
  return { pages, unknown };
}

function current(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") return undefined;
    throw thrown;
  }
}

const { values } = parseArgs({ options: { check: { type: "boolean", default: false } } });
const config = await configPages();
const pages = [errorsPage(), statusesPage(), ...config.pages];
const stale = pages.filter(({ path, text }) => current(join(ROOT, path)) !== text);
for (const { path, text } of stale) {
  if (values.check) say(`${path} is out of date: run ./run docs`);
  else {
    mkdirSync(dirname(join(ROOT, path)), { recursive: true });
    writeFileSync(join(ROOT, path), text);
    say(`wrote ${path}`);
  }
}
say(`${pages.length} pages, ${stale.length} ${values.check ? "out of date" : "written"}`);
if (config.unknown.length > 0 || (values.check && stale.length > 0)) process.exitCode = 1;
