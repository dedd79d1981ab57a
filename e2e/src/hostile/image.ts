import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DemoImage } from "@iexec-ts/network";
import { assembleBusyboxImage, type ImageRegistry, type ImageSpec, pushImage } from "@iexec-ts/testkit";
import type Docker from "dockerode";
import { elfOf, type Syscall } from "./elf.ts";

export interface ImageParts {
  readonly docker: Docker;
  readonly registry: Pick<ImageRegistry, "host">;
}

/** The script comes as its only argument, so one image is every app. */
const ENTRYPOINT = ["/bin/sh", "-c", 'echo "$1" | base64 -d >/tmp/app.sh && . /tmp/app.sh', "app"];

/** What each script starts with: `say` writes to the result, `ok` declares it, `try` says whether a command worked. */
const PRELUDE = `O=/iexec_out
say() { echo "$@" >>$O/result.txt; }
ok() { printf '{"deterministic-output-path":"/iexec_out/result.txt"}' >$O/computed.json; }
try() { n=$1; shift; if (eval "$@") >/dev/null 2>&1; then say "$n: done"; else say "$n: denied"; fi; }
`;

/** Arguments of a deal that make the app run this script. */
export const argsOf = (script: string): string => Buffer.from(`${PRELUDE}${script}\n`).toString("base64");

const text = (value: string): Buffer => Buffer.from(`${value}\0`);
const SOCK = { unix: 1, inet: 2, packet: 17, stream: 1, raw: 3 };
const CLONE_NEWUSER = 0x10000000;

/** System calls that an app has no business to make, each as a program of /calls. */
export const CALLS: Readonly<Record<string, readonly Syscall[]>> = {
  io_uring: [{ number: 425, args: [8, new Uint8Array(120)] }],
  bpf: [{ number: 321, args: [0, new Uint8Array(128), 128] }],
  "user-namespace": [{ number: 272, args: [CLONE_NEWUSER] }],
  "ptrace-init": [{ number: 101, args: [16, 1, 0, 0] }],
  keyctl: [{ number: 250, args: [0, -3, 1] }],
  mount: [{ number: 165, args: [text("none"), text("/tmp"), text("tmpfs"), 0, 0] }],
  "raw-socket": [{ number: 41, args: [SOCK.inet, SOCK.raw, 1] }],
  "packet-socket": [{ number: 41, args: [SOCK.packet, SOCK.raw, 0x0300] }],
  perf: [{ number: 298, args: [new Uint8Array(128), 0, -1, -1, 0] }],
  "load-module": [{ number: 175, args: [new Uint8Array(16), 16, text("")] }],
  kexec: [{ number: 246, args: [0, 0, 0, 0] }],
  "set-time": [{ number: 164, args: [new Uint8Array(16), 0] }],
  reboot: [{ number: 169, args: [0xfee1dead, 672274793, 0x01234567, 0] }],
  "open-by-handle": [{ number: 304, args: [-100, new Uint8Array(16), 0] }],
  "unix-socket": [
    { number: 41, args: [SOCK.unix, SOCK.stream, 0] },
    { number: 49, args: [3, Buffer.concat([Buffer.from([1, 0]), text("/iexec_out/socket")]), 20] },
  ],
};

/** SIDE EFFECTS: loads the image into the engine and pushes it to the registry. */
export async function pushBusyboxImage(
  { docker, registry }: ImageParts,
  name: string,
  spec: Omit<ImageSpec, "tag">,
  signal: AbortSignal,
): Promise<DemoImage> {
  const reference = `${registry.host}/${name}`;
  await assembleBusyboxImage(docker, { ...spec, tag: reference }, signal);
  const { digest } = await pushImage(docker, reference);
  return { reference, checksum: `0x${digest.replace("sha256:", "")}` };
}

/** The image of all scripts. SIDE EFFECTS: as `pushBusyboxImage`. */
export async function buildHostileImage(parts: ImageParts, signal: AbortSignal): Promise<DemoImage> {
  const folder = await mkdtemp(join(tmpdir(), "hostile-calls-"));
  try {
    const files = new Map<string, { kind: "copy"; from: string; mode: number } | { kind: "folder" }>([["/iexec_in", { kind: "folder" }]]);
    for (const [name, calls] of Object.entries(CALLS)) {
      await writeFile(join(folder, name), elfOf(calls));
      files.set(`/calls/${name}`, { kind: "copy", from: join(folder, name), mode: 0o755 });
    }
    return await pushBusyboxImage(parts, "iexec-ts/hostile:1", { entrypoint: ENTRYPOINT, files }, signal);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
