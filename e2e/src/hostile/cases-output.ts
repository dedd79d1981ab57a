import type { TaskOrder } from "@iexec-ts/network";
import { directoryDigest } from "@iexec-ts/poco";
import { sha256, toBytes } from "viem";
import { filesInZip } from "../wrong/zip.ts";
import { completed, either, failed, perRuntime, saying, script } from "./checks.ts";
import { MARK } from "./host.ts";
import type { Lane } from "./lane.ts";
import { type HostileCase, textOf, type Variant } from "./ordeal.ts";

const BAD_NAME = failed(["PAY-1204"], ["POST_COMPUTE_FAILED_UNKNOWN_ISSUE"]);
const CAUSES = {
  unknown: ["POST_COMPUTE_FAILED_UNKNOWN_ISSUE"],
  notFound: ["POST_COMPUTE_COMPUTED_FILE_NOT_FOUND"],
  digest: ["POST_COMPUTE_RESULT_DIGEST_COMPUTATION_FAILED"],
} as const;
/** gVisor keeps pipes and sockets of its guest in its own memory: the host's folder never holds them. */
const IN_THE_GUEST_ONLY = saying("r\n");
const LINK = failed(["PAY-1202"], CAUSES.unknown);

/** Names that are legal but unusual: composed and decomposed e, right-to-left override, option-like, emoji, 31 units. */
const ODD_NAMES = ["é", "e\u0301", "\u202etxt.exe", "-rf", "🦊🦊", "n".repeat(31), "a b", "$(id)"];
const NAMES_SCRIPT = [
  "mkdir $O/d",
  ...ODD_NAMES.map((name, at) => `printf '${at}' >"$O/d/$(printf '%b' '${octal(name)}')"`),
  `printf '{"deterministic-output-path":"/iexec_out/d"}' >$O/computed.json`,
].join("\n");
const NAMES_DIGEST = directoryDigest(ODD_NAMES.map((name, at) => ({ name, sha256: sha256(toBytes(String(at))) })));

/** A text as `printf %b` writes it, whatever the shell thinks of its characters. */
function octal(text: string): string {
  return [...Buffer.from(text)].map((byte) => `\\0${byte.toString(8).padStart(3, "0")}`).join("");
}

/** A computed.json of this content, with a result beside it. */
const computedJson = (name: string, content: string, check: Variant["check"], order: Omit<TaskOrder, "args"> = {}): Variant =>
  script(name, `say result; printf '%b' '${octal(content)}' >$O/computed.json`, check, order);

const PATH = `"deterministic-output-path":"/iexec_out/result.txt"`;
const RESULT_DIGEST = sha256(toBytes("result\n"));
const realDigest = completed((end) => {
  if (end.digest !== RESULT_DIGEST) throw new Error(`the digest is ${end.digest}`);
  return "with the real digest";
});
/** Somebody else's contract, as far as the app is concerned. */
const CALLBACK: Omit<TaskOrder, "args"> = { callback: "0x00000000000000000000000000000000000000aa" };
const EXIT_CODES = [0, 1, 2, 125, 126, 127, 137, 139, 143, 255];

const exits = (code: number): Variant =>
  script(
    `exit ${code}`,
    `exit ${code}`,
    code === 0
      ? failed(["PAY-1211"], CAUSES.notFound)
      : failed(["SBX-1306"], ["APP_COMPUTE_FAILED"], (end) => {
          if (end.exitCode !== code) throw new Error(`exit code ${end.exitCode} was recorded`);
        }),
  );

const linkTo = (name: string, commands: (lane: Lane) => string): ((lane: Lane) => Variant) => {
  return (lane) => script(name, `say result; ok; ${commands(lane)}`, LINK);
};
const LINKS = [
  linkTo("stdout.txt", ({ canary }) => `ln -s ${canary.path} $O/stdout.txt; echo ${MARK}`),
  linkTo("stderr.txt", ({ canary }) => `ln -s ${canary.path} $O/stderr.txt; echo ${MARK} >&2`),
  linkTo("computed.json", ({ canary }) => `rm $O/computed.json; ln -s ${canary.path} $O/computed.json`),
  linkTo("result", ({ canary }) => `rm $O/result.txt; ln -s ${canary.path} $O/result.txt`),
  linkTo("folder", () => "ln -s / $O/root"),
  linkTo("up and out", () => "ln -s ../../../../../../etc $O/up"),
  linkTo("chain", ({ canary }) => `ln -s ${canary.path} $O/1; ln -s 1 $O/2; ln -s 2 $O/3`),
  linkTo("itself", () => "ln -s itself $O/itself"),
];

/** Cases about what an app leaves in its output folder. */
export const OUTPUT_CASES: readonly HostileCase[] = [
  {
    id: "H07",
    title: "links that lead out of the output",
    short: true,
    variants: (lane) => LINKS.map((link) => link(lane)),
  },
  {
    id: "H08",
    title: "names that lead out of an archive",
    variants: () => [
      script("backslashes", 'say r; ok; echo x >"$O/..\\\\..\\\\x"', BAD_NAME),
      script("drive letter", 'say r; ok; echo x >"$O/C:x"', BAD_NAME),
      script("absolute with backslash", 'say r; ok; echo x >"$O/\\\\x"', BAD_NAME),
      script(
        "dots",
        "say r; ok; echo x >$O/...; mkdir $O/..x; echo y >$O/..x/..y",
        completed((end) => {
          const names = filesInZip(end.zip ?? Buffer.alloc(0)).map(({ name }) => name);
          const bad = names.find((name) => name.startsWith("/") || name.includes("\\") || name.split("/").includes(".."));
          if (bad !== undefined) throw new Error(`the zip has ${bad}`);
          return `safely stored: ${names.join(" ")}`;
        }),
      ),
    ],
  },
  {
    id: "H11",
    title: "pipes, sockets, devices and hard links",
    short: true,
    variants: () => [
      script("pipe", "say r; ok; mkfifo $O/pipe", perRuntime({ runc: LINK, runsc: IN_THE_GUEST_ONLY })),
      script(
        "pipe as computed.json",
        "say r; mkfifo $O/computed.json",
        perRuntime({ runc: LINK, runsc: failed(["PAY-1211"], CAUSES.notFound) }),
      ),
      script(
        "socket",
        "say r; ok; /calls/unix-socket; ls $O/socket >/dev/null",
        perRuntime({ runc: LINK, runsc: either(IN_THE_GUEST_ONLY, failed(["SBX-1306"])) }),
      ),
      script("device", "say r; ok; mknod $O/zero c 1 5 && say made; mknod $O/disk b 8 0 && say made", saying("r\n")),
      script("hard link inside", "say r; ok; ln $O/result.txt $O/again", failed(["PAY-1203"], CAUSES.unknown)),
      script(
        "hard link from outside",
        "say r; ok; ln /bin/busybox $O/busybox; ln /etc/hosts $O/hosts; ln /tmp/app.sh $O/app",
        saying("r\n"),
      ),
    ],
  },
  {
    id: "H14",
    title: "files nobody may read, and files that run as somebody else",
    variants: () => [
      script(
        "mode 0000",
        "say r; ok; mkdir -p $O/d/e; echo x >$O/d/e/f; chmod 0 $O/d/e/f $O/d/e $O/d",
        either(saying("r\n"), failed(["PAY-1210"], CAUSES.unknown)),
      ),
      script(
        "setuid",
        "say r; ok; cp /bin/busybox $O/su; chmod 6755 $O/su; chattr +i $O/su; chattr +a $O/result.txt",
        completed((end) => {
          const mode = filesInZip(end.zip ?? Buffer.alloc(0)).find(({ name }) => name === "su")?.mode ?? 0;
          if ((mode & 0o6000) !== 0) throw new Error(`mode ${mode.toString(8)} in the zip`);
          return `mode ${(mode & 0o7777).toString(8)} in the zip`;
        }),
      ),
      script("chown", "say r; ok; chown 1:1 $O/result.txt && say owned", either(saying("r\n"), saying("r\nowned\n"))),
    ],
  },
  {
    id: "H15",
    title: "odd names",
    variants: () => [
      script(
        "legal ones",
        NAMES_SCRIPT,
        completed((end) => {
          if (end.digest !== NAMES_DIGEST) throw new Error(`the digest is ${end.digest}, not ${NAMES_DIGEST}`);
          for (const [at, name] of ODD_NAMES.entries()) if (textOf(end, `d/${name}`) !== String(at)) throw new Error(`lost ${name}`);
          return `${ODD_NAMES.length} names, digest as computed here`;
        }),
      ),
      script("newline", 'say r; ok; echo x >"$O/a\nb"', BAD_NAME),
      script("not UTF-8", "say r; ok; echo x >\"$O/$(printf 'a\\377')\"", BAD_NAME),
      script("32 units", `say r; ok; echo x >$O/${"n".repeat(32)}`, failed(["PAY-1201"], ["POST_COMPUTE_TOO_LONG_RESULT_FILE_NAME"])),
      script(
        "16 foxes",
        `say r; ok; echo x >"$O/$(printf '%b' '${octal("🦊".repeat(16))}')"`,
        failed(["PAY-1201"], ["POST_COMPUTE_TOO_LONG_RESULT_FILE_NAME"]),
      ),
    ],
  },
  {
    id: "H16",
    title: "a computed.json that lies",
    variants: () => [
      script("absent", "say result", failed(["PAY-1211"], CAUSES.notFound)),
      script("a folder", "mkdir $O/computed.json", failed(["PAY-1212"], CAUSES.notFound)),
      script("2 MB", "head -c 2000000 /dev/zero >$O/computed.json", failed(["PAY-1212"], CAUSES.notFound)),
      script(
        "1 GB",
        "dd if=/dev/zero of=$O/computed.json bs=1 count=1 seek=1000M 2>/dev/null",
        failed(["PAY-1208", "PAY-1209"], CAUSES.unknown),
      ),
      computedJson("not JSON", "{oops", failed(["PAY-1212"], CAUSES.notFound)),
      computedJson("an array", "[1,2]", failed(["PAY-1212"], CAUSES.notFound)),
      computedJson("twice the same key", `{${PATH},${PATH}}`, either(realDigest, failed(["PAY-1212"], CAUSES.notFound))),
      computedJson("__proto__", `{"__proto__":{${PATH}}}`, failed(["PAY-1213"], CAUSES.digest)),
      computedJson("callback null", `{"callback-data":null}`, failed(["PAY-1214"], CAUSES.digest), CALLBACK),
      computedJson("callback empty", `{"callback-data":""}`, failed(["PAY-1214"], CAUSES.digest), CALLBACK),
      script(
        "callback of 1 MB",
        `printf '{"callback-data":"0x' >$O/computed.json; head -c 1000000 /dev/zero | tr '\\0' a >>$O/computed.json; printf '"}' >>$O/computed.json`,
        failed(["PAY-1214"], CAUSES.digest),
        CALLBACK,
      ),
      computedJson(
        "own digest",
        `{${PATH},"result-digest":"0x${"11".repeat(32)}","enclave-signature":"0x00","task-id":"0x00"}`,
        realDigest,
      ),
      computedJson("path with ..", `{"deterministic-output-path":"/iexec_out/../../../etc/passwd"}`, failed(["PAY-1213"], CAUSES.digest)),
      computedJson("path elsewhere", `{"deterministic-output-path":"/etc/passwd"}`, failed(["PAY-1213"], CAUSES.digest)),
    ],
  },
  { id: "H17", title: "exit codes", variants: () => EXIT_CODES.map(exits) },
];
