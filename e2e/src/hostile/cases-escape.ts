import { networkInterfaces } from "node:os";
import type { DemoImage, TaskOrder } from "@iexec-ts/network";
import { denied, either, failed, saying, script } from "./checks.ts";
import { MARK, rejectedPackets } from "./host.ts";
import { argsOf, CALLS, pushBusyboxImage } from "./image.ts";
import { eventually, type Lane } from "./lane.ts";
import { type HostileCase, textOf, type Variant } from "./ordeal.ts";

const LOOKED_FOR = [
  `try kcore 'head -c 1 /proc/kcore | grep -q .'`,
  `try mem 'head -c 1 /dev/mem | grep -q .'`,
  `try kmsg 'head -c 1 /dev/kmsg | grep -q .'`,
  `try init-environment 'tr "\\0" "\\n" </proc/1/environ | grep -q WALLET'`,
  `try any-environment 'cat /proc/*/environ | tr "\\0" "\\n" | grep -qE "WALLET|DATABASE_URL|IEXEC_WORKER"'`,
  `try keys 'grep -q . /proc/keys'`,
  `try sysrq 'echo h >/proc/sysrq-trigger'`,
  `try core-pattern 'echo "|/${MARK}" >/proc/sys/kernel/core_pattern'`,
  `try drop-caches 'echo 1 >/proc/sys/vm/drop_caches'`,
  `try hostname 'echo ${MARK} >/proc/sys/kernel/hostname'`,
  `try cgroup 'mkdir /sys/fs/cgroup/${MARK} || mkdir /sys/fs/cgroup/memory/${MARK}'`,
  `try release-agent 'echo /${MARK} >/sys/fs/cgroup/memory/release_agent'`,
  `try uevent-helper 'echo /${MARK} >/sys/kernel/uevent_helper'`,
  `try firmware 'ls /sys/firmware | grep -q .'`,
  `try host-root 'ls /proc/1/root/var/lib/docker'`,
  `try disk 'mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk'`,
];

const addressesOfHost = (): readonly string[] =>
  Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family, internal }) => family === "IPv4" && !internal)
    .map(({ address }) => address);

/** The default gateway, out of the little-endian hexadecimal of the routing table. */
const GATEWAY = `hex=$(while read -r i d g r; do [ "$d" = 00000000 ] && echo "$g"; done </proc/net/route | head -n 1)
G=$(printf '%d.%d.%d.%d' 0x\${hex#??????} 0x$(echo \${hex#????} | cut -c1-2) 0x$(echo \${hex#??} | cut -c1-2) 0x$(echo $hex | cut -c1-2))`;
/** Connects and sends nothing. */
const connect = (name: string, address: string, port: number): string => `try ${name}:${port} 'nc -w 2 ${address} ${port} </dev/null'`;

const imageVariant = (
  name: string,
  build: (lane: Lane) => Promise<string>,
  check: Variant["check"],
  args: string = argsOf("say $(id -u); ok"),
  order: Omit<TaskOrder, "args" | "app"> = {},
): Variant => ({
  name,
  async buy(lane) {
    return lane.rig.buyOne(args, { ...order, app: await lane.appWith(await build(lane)) });
  },
  check,
});

const SHELL = ["/bin/sh", "-c", 'echo "$1" | base64 -d >/tmp/app.sh && . /tmp/app.sh', "app"];
const built =
  (name: string, spec: Parameters<typeof pushBusyboxImage>[2], reference: (image: DemoImage) => string = (image) => image.reference) =>
  async (lane: Lane): Promise<string> =>
    reference(await pushBusyboxImage(lane.parts, `iexec-ts/trick-${name}:1`, spec, AbortSignal.timeout(60_000)));

/** The init in front of the app says so with its exit code; an engine without it refuses the start. */
const NOT_STARTED = ["SBX-1202", "SBX-1203", "SBX-1306"];

/** Cases about getting out of the container, or getting more out of the host than was given. */
export const ESCAPE_CASES: readonly HostileCase[] = [
  {
    id: "H04",
    title: "sniffs in /proc, /sys and /dev",
    variants: () => [script("sniff", [...LOOKED_FOR, "ok"].join("\n"), denied({ runsc: ["hostname", "cgroup", "any-environment"] }))],
  },
  {
    id: "H05",
    title: "looks for the Docker Engine",
    variants: () => [
      script(
        "sockets and port",
        [
          GATEWAY,
          'for s in /var/run/docker.sock /run/docker.sock /var/run/containerd/containerd.sock /run/containerd/containerd.sock; do try $s "ls $s"; done',
          connect("gateway", "$G", 2375),
          connect("gateway", "$G", 2376),
          "ok",
        ].join("\n"),
        denied(),
      ),
    ],
  },
  {
    id: "H06",
    title: "looks around in the network",
    async variants({ listeningPort, pageUrl }) {
      const before = await rejectedPackets();
      const near = [
        connect("metadata", "169.254.169.254", 80),
        connect("metadata-6", "fd00:ec2::254", 80),
        connect("gateway", "$G", listeningPort),
        connect("gateway-page", "$G", Number(new URL(pageUrl).port)),
        ...addressesOfHost().map((address, at) => connect(`host-${at}`, address, listeningPort)),
        ...["10.0.0.1", "172.16.0.1", "172.17.0.1", "192.168.0.1", "192.168.1.1", "100.64.0.1"].map((address) =>
          connect(address, address, 80),
        ),
        connect("worker", "worker", 13_100),
      ];
      return [
        script("scan", [GATEWAY, ...near, "say gateway is $G; ok"].join("\n"), async (end, lane) => {
          const said = await denied()(end, lane);
          if (!/gateway is \d+\.\d+\.\d+\.\d+/.test(textOf(end, "result.txt")))
            throw new Error("the app saw no gateway: nothing was tried");
          const counted = (await rejectedPackets()) - before;
          if (counted < near.length - 2) throw new Error(`the rules rejected ${counted} packets of ${near.length} attempts`);
          return `${said}, ${counted} packets counted`;
        }),
      ];
    },
  },
  {
    id: "H18",
    title: "image tricks",
    variants: () => [
      imageVariant(
        "no tag",
        async (lane) => {
          const { reference } = await pushBusyboxImage(
            lane.parts,
            "iexec-ts/untagged:latest",
            { entrypoint: SHELL },
            AbortSignal.timeout(60_000),
          );
          return reference.replace(/:latest$/, "");
        },
        saying("0\n"),
      ),
      imageVariant(
        "by digest",
        built("digest", { entrypoint: SHELL }, ({ reference, checksum }) => `${reference.replace(/:1$/, "")}@sha256:${checksum.slice(2)}`),
        saying("0\n"),
      ),
      imageVariant("no entry point, no command", built("bare", {}), failed(NOT_STARTED)),
      imageVariant("entry point that is not there", built("gone", { entrypoint: ["/nowhere"] }), failed(NOT_STARTED)),
      imageVariant("user nobody", built("nobody", { entrypoint: SHELL, config: { User: "65534:65534" } }), saying("65534\n")),
      imageVariant(
        "a volume over the output",
        built("volume", { entrypoint: SHELL, config: { Volumes: { "/iexec_out": {}, "/iexec_in": {}, "/data": {} } } }),
        saying("0\n"),
      ),
      imageVariant(
        "a health check",
        built("health", {
          entrypoint: SHELL,
          config: { Healthcheck: { Test: ["CMD-SHELL", "echo health >>/iexec_out/result.txt"], Interval: 1_000_000_000 } },
        }),
        saying("0\n"),
        argsOf("sleep 3; say 0; ok"),
      ),
      imageVariant("ONBUILD", built("onbuild", { entrypoint: SHELL, config: { OnBuild: ["RUN touch /onbuild"] } }), saying("0\n")),
      imageVariant("another processor", built("foreign", { entrypoint: SHELL, architecture: "s390x" }), (end) =>
        downloadRefused(end.statuses, end.reason),
      ),
    ],
  },
  {
    id: "H19",
    title: "arguments that look like options or commands",
    variants: () => {
      const printing = built("argv", {
        entrypoint: [
          "/bin/sh",
          "-c",
          `for a in "$@"; do echo "[$a]" >>/iexec_out/result.txt; done; printf '{"deterministic-output-path":"/iexec_out/result.txt"}' >/iexec_out/computed.json`,
          "app",
        ],
      });
      const long = "x".repeat(20_000);
      return [
        imageVariant(
          "options of the engine",
          printing,
          saying("[--privileged]\n[-v]\n[/:/host]\n[--network=host]\n"),
          "--privileged -v /:/host --network=host",
        ),
        imageVariant("shell", printing, saying("[$(id)]\n[;]\n[touch]\n[`id`]\n[a b]\n[|]\n[&&]\n"), "$(id) ; touch `id` 'a b' | &&"),
        imageVariant("newline", printing, saying("[a\nb]\n"), "a\nb"),
        imageVariant("long", printing, saying(`[${long}]\n`), long),
      ];
    },
  },
  {
    id: "H22",
    title: "system calls nobody should make",
    variants: () => [
      script(
        "calls",
        [
          ...Object.keys(CALLS)
            .filter((name) => name !== "unix-socket")
            .map((name) => `try ${name} /calls/${name}`),
          "ok",
        ].join("\n"),
        // ptrace reaches the container's own init only; io_uring is in the filter of Docker before version 25, and gVisor answers it itself.
        denied({ runc: ["io_uring", "ptrace-init"], runsc: ["io_uring", "user-namespace", "ptrace-init", "keyctl"] }),
      ),
    ],
  },
  {
    id: "H23",
    title: "writes to its input",
    variants: () => [
      script("input", "try write 'echo x >/iexec_in/x'; try touch 'touch /iexec_in/*'; try remove 'rm /iexec_in/*'; ok", denied()),
    ],
  },
  {
    id: "H26",
    title: "changes its output after its end",
    searchDisk: true,
    variants: () => [
      script(
        "daemon",
        "(setsid sh -c 'sleep 0.2; while :; do echo changed >/iexec_out/result.txt; done' >/dev/null 2>&1 &); say honest; ok",
        either(saying("honest\n"), saying("changed\n")),
      ),
      script(
        "swaps files while it ends",
        "say honest; ok; (while :; do ln -sf /etc/passwd $O/late; rm -f $O/late; done) & sleep 0.3",
        either(saying("honest\n"), failed(["PAY-1202"], ["POST_COMPUTE_FAILED_UNKNOWN_ISSUE"])),
      ),
    ],
    async beside(lane, tasks) {
      // Whatever is in the folder when the container has ended is what is sealed: the digest on chain and the upload must agree.
      await eventually("the digests on chain", async () => {
        const records = await Promise.all(tasks.map((taskId) => lane.rig.network.hub.task(taskId)));
        return records.every((record) => record !== undefined);
      });
      return "digest and upload agree, or the upload would have been refused";
    },
  },
];

function downloadRefused(statuses: readonly string[], reason: string): string {
  if (!statuses.includes("APP_DOWNLOAD_FAILED") || !reason.startsWith("SBX-1106")) throw new Error("it was not refused for its processor");
  return "APP_DOWNLOAD_FAILED SBX-1106";
}
