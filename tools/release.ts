/**
 * `./run release`: a signed release of the worker that `iexec-worker update` can fetch from any file server, into out/release.
 *
 * - `--as-version X.Y.Z`: the version; that of the source unless told
 * - `--key FILE`: the publisher's Ed25519 key (PEM); made, readable by its owner alone, where there is none
 * - `--out DIR`: the folder to serve; earlier releases in it stay
 * - `--days N`: how long workers accept it; 180 unless told
 * - `--files DIR`: sign what is in this folder instead of building
 * - `--install ROOT --url URL`: also lay out an installation of this version that fetches later ones from URL
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { MANIFEST_NAME, type Manifest, manifestSchema, SIGNATURE_NAME } from "../apps/worker/src/update/release.ts";
import { VERSION } from "../apps/worker/src/version.ts";
import { ROOT, runFile } from "./lib/program.ts";

const DAY_MS = 86_400_000;

const { values } = parseArgs({
  options: {
    "as-version": { type: "string", default: VERSION },
    key: { type: "string", default: "out/release-key.pem" },
    out: { type: "string", default: "out/release" },
    days: { type: "string", default: "180" },
    files: { type: "string" },
    install: { type: "string" },
    url: { type: "string" },
  },
});
const { "as-version": version } = values;
const out = resolve(ROOT, values.out);
const say = (text: string): void => void process.stderr.write(`release: ${text}\n`);

function publisherKey(path: string): KeyObject {
  if (existsSync(path)) return createPrivateKey(readFileSync(path));
  const { privateKey } = generateKeyPairSync("ed25519");
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600, flag: "wx" });
  say(`made the key ${path}: keep it safe, every worker of yours trusts it`);
  return privateKey;
}

/** Without maps and licences of parts, which no worker loads. */
async function builtFiles(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "iexec-release-"));
  const { code, output } = await runFile("tools/build.ts", ["--only", "iexec-worker", "--as-version", version, "--out", folder]);
  if (code !== 0) throw new Error(`the build failed:\n${output}`);
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) if (name.endsWith(".map")) rmSync(join(folder, name));
  return folder;
}

const filesBelow = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => statSync(join(folder, name)).isFile())
    .sort();

function manifestOf(folder: string): Manifest {
  const now = Date.now();
  const files = filesBelow(folder).map((path) => {
    const content = readFileSync(join(folder, path));
    return { path: relative(".", path), bytes: content.length, sha256: createHash("sha256").update(content).digest("hex") };
  });
  return manifestSchema.parse({
    schema: 1,
    program: "iexec-worker",
    version,
    released: new Date(now).toISOString(),
    expires: new Date(now + Number(values.days) * DAY_MS).toISOString(),
    files,
  });
}

const key = publisherKey(resolve(ROOT, values.key));
const source = values.files === undefined ? await builtFiles() : resolve(ROOT, values.files);
const manifest = manifestOf(source);
rmSync(join(out, version), { recursive: true, force: true });
cpSync(source, join(out, version), { recursive: true });
const bytes = Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`);
// The signature first: whoever fetches in between gets a manifest that is refused, and tries again.
for (const [name, content] of [
  [SIGNATURE_NAME, `${sign(null, bytes, key).toString("base64")}\n`],
  [MANIFEST_NAME, bytes],
] as const) {
  writeFileSync(join(out, `${name}.new`), content);
  renameSync(join(out, `${name}.new`), join(out, name));
}
const size = manifest.files.reduce((sum, file) => sum + file.bytes, 0);
say(`${version}: ${manifest.files.length} files, ${(size / 1e6).toFixed(1)} MB, in ${out}`);

if (values.install !== undefined) {
  if (values.url === undefined) throw new Error("--install needs --url: where the installation fetches later releases from");
  const root = resolve(ROOT, values.install);
  cpSync(source, join(root, "versions", version), { recursive: true });
  rmSync(join(root, "current"), { force: true });
  symlinkSync(join("versions", version), join(root, "current"));
  const publicKey = createPublicKey(key).export({ type: "spki", format: "pem" }).toString();
  writeFileSync(join(root, "release.json"), `${JSON.stringify({ url: values.url, publicKey }, null, 2)}\n`);
  say(`installed in ${root}: run ${join(root, "current", "iexec-worker.mjs")} with Node 24`);
}
if (values.files === undefined) rmSync(source, { recursive: true, force: true });
