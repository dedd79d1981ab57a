/**
 * `./run images`: the container images of the programs, from their bundles.
 *
 * The base is Debian's packages and one Node binary, as deploy/docker/root-fs.sh puts them together: inside a public image where a registry is
 * reached (`--base public`), on this machine where it is a Debian (`--base debian`). Layers are archives with fixed times, owners and order,
 * so that the same sources and packages give the same layers.
 */
import { createHash } from "node:crypto";
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { runOwned } from "../packages/testkit/src/process/owned.ts";
import { ROOT, runFile } from "./lib/program.ts";

interface Image {
  readonly target: string;
  readonly program: string;
  readonly version: string;
  /** Folder that belongs to the program's own user. */
  readonly owned?: string;
}

const USER = 10_001;
const PULL_SECONDS = 120;
const RECIPES = join(ROOT, "deploy/docker");
const WORK = join(ROOT, "out/images");
const BUNDLES = join(WORK, "bundles");
const NODE = join(ROOT, "node_modules/node/bin/node");

const versionOf = (app: string): string => JSON.parse(readFileSync(join(ROOT, "apps", app, "package.json"), "utf8")).version;

const IMAGES: readonly Image[] = [
  { target: "worker", program: "iexec-worker", version: versionOf("worker") },
  { target: "scheduler", program: "iexec-scheduler", version: versionOf("scheduler") },
  {
    target: "result-proxy",
    program: "iexec-result-proxy",
    version: versionOf("result-proxy"),
    owned: "var/lib/iexec-result-proxy",
  },
];

const say = (text: string): void => void process.stderr.write(`images: ${text}\n`);

class Failure extends Error {}

/** Output of a command; its errors are shown when it fails. */
async function run(program: string, args: readonly string[], options: { readonly cwd?: string; readonly seconds?: number } = {}) {
  const { code, stdout, output } = await runOwned(program, args, {
    cwd: options.cwd ?? ROOT,
    ...(options.seconds === undefined ? {} : { signal: AbortSignal.timeout(options.seconds * 1_000) }),
  });
  if (code !== 0) throw new Failure(`${program} ${args.slice(0, 3).join(" ")} failed:\n${output.slice(-4_000)}`);
  return stdout.trim();
}

/** SIDE EFFECTS: makes an image under a name; the one that had the name goes, unless something uses it. */
async function replacing(name: string, make: () => Promise<unknown>): Promise<void> {
  const idOf = () => run("docker", ["image", "inspect", "-f", "{{.Id}}", name]).catch(() => undefined);
  const before = await idOf();
  await make();
  if (before !== undefined && before !== (await idOf())) await succeeds("docker", ["rmi", before]);
}

const succeeds = (program: string, args: readonly string[], seconds?: number): Promise<boolean> =>
  run(program, args, seconds === undefined ? {} : { seconds }).then(
    () => true,
    () => false,
  );

/** Of the last commit to these paths, unless SOURCE_DATE_EPOCH says otherwise. @source https://reproducible-builds.org/specs/source-date-epoch/ */
async function sourceTime(...paths: readonly string[]): Promise<number> {
  const given = Number(process.env.SOURCE_DATE_EPOCH);
  if (Number.isSafeInteger(given) && given > 0) return given;
  return Number(await run("git", ["log", "-1", "--format=%ct", "--", ...paths]).catch(() => "0"));
}

/** SIDE EFFECTS: writes an archive of a folder that depends on nothing but its content. */
async function archive(folder: string, file: string, epoch: number, owned?: string): Promise<void> {
  const fixed = ["--sort=name", `--mtime=@${epoch}`, "--numeric-owner", "--format=gnu"];
  const without = owned === undefined ? [] : [`--exclude=./${owned}`];
  await run("tar", ["-c", "-f", file, ...fixed, "--owner=0", "--group=0", ...without, "-C", folder, "."]);
  if (owned !== undefined) await run("tar", ["-r", "-f", file, ...fixed, `--owner=${USER}`, `--group=${USER}`, "-C", folder, `./${owned}`]);
}

async function isDebian12(): Promise<boolean> {
  const release = existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "";
  return /^ID=debian$/m.test(release) && /^VERSION_ID="?12"?$/m.test(release) && existsSync(NODE);
}

/** @returns the name of a base image that is here now. SIDE EFFECTS: builds it unless the same one is here. */
async function baseImage(wanted: string | undefined, fresh: boolean, epoch: number): Promise<string> {
  const recipe = createHash("sha256");
  for (const file of ["root-fs.sh", "base.Dockerfile"]) recipe.update(readFileSync(join(RECIPES, file)));
  const { version } = JSON.parse(readFileSync(join(ROOT, "node_modules/node/package.json"), "utf8"));
  const name = `iexec-ts/base:${version}-${recipe.digest("hex").slice(0, 12)}`;
  if (!fresh && (await succeeds("docker", ["image", "inspect", name]))) return name;
  const publicImage = `node:${version}-bookworm-slim`;
  const isPublic = wanted === "public" || (wanted === undefined && (await succeeds("docker", ["pull", publicImage], PULL_SECONDS)));
  if (isPublic) {
    say(`base from ${publicImage}`);
    const file = join(RECIPES, "base.Dockerfile");
    await run("docker", ["build", "-f", file, "--build-arg", `NODE_IMAGE=${publicImage}`, "-t", name, RECIPES]);
    return name;
  }
  if (!(await isDebian12()))
    throw new Failure(
      "no registry answers, and this is no Debian 12: there is nothing to make the base image of. Reach docker.io, or build on Debian 12",
    );
  say("base from this machine's Debian packages");
  const folder = join(WORK, "base");
  rmSync(folder, { recursive: true, force: true });
  await run("sh", [join(RECIPES, "root-fs.sh"), folder, NODE]);
  await archive(folder, join(WORK, "base.tar"), epoch);
  await replacing(name, () => run("docker", ["import", join(WORK, "base.tar"), name]));
  rmSync(folder, { recursive: true, force: true });
  return name;
}

/** SIDE EFFECTS: writes TARGET.tar, the program as it lies in its image. */
async function programLayer({ target, program, owned }: Image, context: string, epoch: number): Promise<void> {
  const folder = join(WORK, target);
  rmSync(folder, { recursive: true, force: true });
  const home = join(folder, "opt/iexec");
  mkdirSync(home, { recursive: true });
  mkdirSync(join(folder, "usr/local/bin"), { recursive: true });
  for (const name of [`${program}.mjs`, `${program}.mjs.LEGAL.txt`, program])
    if (existsSync(join(BUNDLES, name)))
      cpSync(join(BUNDLES, name), join(home, name), { recursive: true, filter: (path) => !path.endsWith(".map") });
  chmodSync(join(home, `${program}.mjs`), 0o755);
  symlinkSync(`/opt/iexec/${program}.mjs`, join(folder, "usr/local/bin", program));
  if (owned !== undefined) mkdirSync(join(folder, owned), { recursive: true });
  await run("chmod", ["-R", "u=rwX,go=rX", folder]);
  await archive(folder, join(context, `${target}.tar`), epoch, owned);
  rmSync(folder, { recursive: true, force: true });
}

async function build(image: Image, base: string, prefix: string, context: string, epoch: number) {
  const started = performance.now();
  const name = `${prefix}/${image.program}:${image.version}`;
  const revision = await run("git", ["rev-parse", "HEAD"]).catch(() => "unknown");
  const values = {
    BASE: base,
    VERSION: image.version,
    REVISION: revision,
    CREATED: new Date(epoch * 1_000).toISOString(),
  };
  const args = Object.entries(values).flatMap(([key, value]) => ["--build-arg", `${key}=${value}`]);
  const words = ["build", "-f", join(context, "Dockerfile"), "--target", image.target, ...args, "-t", name, context];
  await replacing(name, () => run("docker", words));
  const [id = "", bytes = "0", layers = "[]"] = (
    await run("docker", ["image", "inspect", "-f", "{{.Id}} {{.Size}} {{json .RootFS.Layers}}", name])
  ).split(" ");
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  say(`${name}: ${(Number(bytes) / 1e6).toFixed(1)} MB, ${seconds} s`);
  return { name, id, bytes: Number(bytes), layers: JSON.parse(layers), seconds };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      json: { type: "boolean", default: false },
      base: { type: "string" },
      fresh: { type: "boolean", default: false },
      prefix: { type: "string", default: "iexec-ts" },
    },
  });
  const bundled = await runFile("tools/build.ts", ["--out", BUNDLES], { show: "stderr" });
  if (bundled.code !== 0) throw new Failure("the bundles could not be built, see above");
  const epoch = await sourceTime();
  const context = join(WORK, "context");
  rmSync(context, { recursive: true, force: true });
  mkdirSync(context, { recursive: true });
  cpSync(join(RECIPES, "Dockerfile"), join(context, "Dockerfile"));
  const base = await baseImage(values.base, values.fresh, await sourceTime(RECIPES));
  for (const image of IMAGES) await programLayer(image, context, epoch);
  const images: Awaited<ReturnType<typeof build>>[] = [];
  for (const image of IMAGES) images.push(await build(image, base, values.prefix, context, epoch));
  if (values.json) process.stdout.write(`${JSON.stringify({ name: "images", base, images })}\n`);
}

try {
  await main();
} catch (thrown) {
  if (!(thrown instanceof Failure)) throw thrown;
  say(thrown.message);
  process.exitCode = 1;
}
