import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import type { Address } from "@iexec-ts/poco";
import { openScope } from "@iexec-ts/service";
import { z } from "zod";
import { must, mustBe } from "../operator/expect.ts";
import { type Scenario, SkipScenario } from "../scenario.ts";
import type { JoinWorld } from "./join-world.ts";
import { type ReachableNetwork, startReachableNetwork } from "./reachable-network.ts";
import { mustRun, run } from "./shell.ts";
import { GuestConsole } from "./vm-console.ts";
import { VirtualMachine } from "./vm-machine.ts";
import { type Area, shareOf } from "./vm-screen.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const OVA = "out/iexec-worker.ova";
const BUILD_LIMIT_MS = 900_000;
const RUN_LIMIT_MS = 1_500_000;
/** Where the emulator's user network shows this host's loopback. @source QEMU, user mode networking */
const LOOPBACK = "10.0.2.2";
const FIRST_SECTOR = 2_048 * 512;

/** SIDE EFFECTS: what `./run vm` does; nothing where it was built from these sources. @returns the folder with the three files of the OVA */
async function unpackedAppliance(dir: string, signal: AbortSignal): Promise<{ readonly files: readonly string[]; readonly bytes: number }> {
  if (process.getuid?.() !== 0) throw new SkipScenario("the virtual machine is built as root");
  await mustRun([join(ROOT, "run"), "vm"], signal, { cwd: ROOT });
  const files = (await mustRun(["tar", "-xvf", join(ROOT, OVA), "-C", dir], signal)).split("\n");
  return { files, bytes: (await stat(join(ROOT, OVA))).size };
}

async function withFolder<T>(use: (dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), "iexec-vm-"));
  try {
    return await use(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}

async function installed(program: string, signal: AbortSignal): Promise<boolean> {
  return (await run(["sh", "-c", `command -v ${program}`], signal)).code === 0;
}

const diskSchema = z.object({
  "virtual-size": z.number(),
  "format-specific": z.object({ data: z.object({ "create-type": z.string() }) }),
});

/** What a host that imports the appliance relies on, and what it must not carry. @source OVF 1.0, sections 5 and 6 */
async function checkAppliance(signal: AbortSignal): Promise<string> {
  return withFolder(async (dir) => {
    const { files, bytes } = await unpackedAppliance(dir, signal);
    mustBe("the order in the archive", files.map((name) => name.split(".").at(-1)).join(), "ovf,mf,vmdk");
    const [description = "", manifest = "", disk = ""] = files.map((name) => join(dir, name));
    const sums = [...(await readFile(manifest, "utf8")).matchAll(/^SHA256\((\S+)\)= ([0-9a-f]{64})$/gm)];
    mustBe("the files of the manifest", sums.map(([, name]) => name).join(), `${files[0]},${files[2]}`);
    for (const [, name = "", sum] of sums) mustBe(`the sum of ${name}`, await sha256(join(dir, name)), sum);
    const ovf = await readFile(description, "utf8");
    if (await installed("xmllint", signal)) await mustRun(["xmllint", "--noout", description], signal);
    const info = diskSchema.parse(JSON.parse(await mustRun(["qemu-img", "info", "--output=json", disk], signal)));
    mustBe("the kind of disk", info["format-specific"].data["create-type"], "streamOptimized");
    for (const [what, text] of [
      ["size of the disk file", `ovf:size="${(await stat(disk)).size}"`],
      ["capacity of the disk", `ovf:capacity="${info["virtual-size"]}"`],
      ["memory", "<rasd:VirtualQuantity>2048</rasd:VirtualQuantity>"],
      ["processors", "<rasd:VirtualQuantity>2</rasd:VirtualQuantity>"],
    ] as const)
      must(ovf.includes(text), `the description does not give the ${what} as ${text}`);

    const raw = join(dir, "disk.raw");
    await mustRun(["qemu-img", "convert", "-O", "raw", disk, raw], signal);
    const partition = `${raw}?offset=${FIRST_SECTOR}`;
    await mustRun(["e2fsck", "-fn", partition], signal);
    const read = async (request: string): Promise<string> => (await run(["debugfs", "-R", request, partition], signal)).stdout.trim();
    mustBe("the machine id", await read("cat /etc/machine-id"), "");
    mustBe("the wallet", await read("cat /home/iexec/.ethereum/keystore/wallet.json"), "PASTE_YOUR_WALLET_HERE");
    mustBe("the server of remote log-ins", await read("stat /usr/sbin/sshd"), "");
    mustBe("keys of remote log-ins", await read("ls /etc/ssh"), "");
    mustBe("the seed of randomness", await read("stat /var/lib/systemd/random-seed"), "");
    const root = (await read("cat /etc/shadow")).split("\n").find((line) => line.startsWith("root:"));
    must(/^root:[*!]/.test(root ?? ""), "root has a password");
    return `${(bytes / 1e6).toFixed(0)} MB; OVF, manifest and disk agree; no secret, no key, no remote log-in inside`;
  });
}

/** Wallpaper and icons of deploy/vm/files/home/iexec/.config/pcmanfm. */
const WALLPAPER = 0x1b2845;
const ICON = { width: 112, height: 112 };
const LAUNCH: Area = { x: 24, y: 24, ...ICON };
const STOP: Area = { x: 24, y: 144, ...ICON };
const ICONS: readonly Area[] = [LAUNCH, STOP, { x: 24, y: 264, ...ICON }, { x: 24, y: 384, ...ICON }];
const middleOf = ({ x, y, width, height }: Area) => ({ x: x + width / 2, y: y + height / 3 });

async function desktopIsShown(machine: VirtualMachine): Promise<true | undefined> {
  const screen = await machine.screen();
  const whole = shareOf(screen, WALLPAPER, { x: 0, y: 0, width: screen.width, height: screen.height });
  return whole > 0.6 && ICONS.every((icon) => shareOf(screen, WALLPAPER, icon) < 0.95) ? true : undefined;
}

const CLICK_PATIENCE_MS = 30_000;
const BLACK = 0;

/** Double clicks as a person does, who does it again when nothing happens. */
async function clickUntil(
  happened: () => Promise<true | undefined>,
  { machine, icon, rig }: { readonly machine: VirtualMachine; readonly icon: Area; readonly rig: ReachableNetwork["rig"] },
  signal: AbortSignal,
): Promise<void> {
  for (let done: true | undefined; done === undefined; signal.throwIfAborted()) {
    await machine.doubleClick(middleOf(icon));
    using patience = openScope([signal], { ms: CLICK_PATIENCE_MS });
    done = await rig.until("the click", happened, patience.signal, 200).catch(() => undefined);
  }
}

/** It opens in the middle; what is typed before it is there goes to the desktop. */
async function terminalIsShown(machine: VirtualMachine): Promise<true | undefined> {
  return shareOf(await machine.screen(), BLACK, { x: 400, y: 250, width: 480, height: 300 }) > 0.8 ? true : undefined;
}

/** What `launch-worker` waits for, as the kernel sees it: a line, a line that is not shown, or single keys for the worker's own questions. */
const asksForLine = (program: string): string => `grep -q n_tty_read "/proc/$(pgrep -n -x ${program})/stack" 2>/dev/null`;
const terminal = (setting: string): string =>
  `stty -a -F "/dev/$(ps -o tty= -C launch-worker | head -n 1)" 2>/dev/null | tr ' ;' '\\n\\n' | grep -q -x -e ${setting}`;
const ASKS_UNSEEN = `{ ${terminal("-echo")} && ${terminal("icanon")}; }`;
const ASKS_KEYS = terminal("-icanon");

const workersSchema = z.object({ workers: z.array(z.object({ wallet: z.string(), alive: z.boolean() })) });

async function isRegistered({ rig }: ReachableNetwork, wallet: Address): Promise<true | undefined> {
  const { workers } = workersSchema.parse(await (await fetch(`${rig.network.schedulerUrl}/v1/workers`)).json());
  return workers.some((each) => each.wallet === wallet && each.alive) ? true : undefined;
}

/** An address that this host and the guest both understand as this host's: not that of a bridge, which the guest has as well. */
function ownAddress(): string {
  for (const [name, addresses = []] of Object.entries(networkInterfaces())) {
    const found = addresses.find(({ family, internal }) => family === "IPv4" && !internal);
    if (found !== undefined && !/^(docker|br-|veth)/.test(name)) return found.address;
  }
  throw new SkipScenario("this host has no address besides loopback and those of bridges");
}

/** The app's image is named by an address of this host's loopback: in the guest that address leads here as well. */
async function lendRegistry({ rig }: ReachableNetwork, guest: GuestConsole, signal: AbortSignal): Promise<void> {
  const app = await rig.network.hub.app(rig.network.prepared.app.address);
  const port = /^127\.0\.0\.1:(\d+)\//.exec(app?.multiaddr ?? "")?.[1];
  must(port !== undefined, `the app is not on this host: ${app?.multiaddr}`);
  const table = [
    "table ip lent {",
    `chain out { type nat hook output priority -100; ip daddr 127.0.0.1 tcp dport ${port} dnat to ${LOOPBACK}; };`,
    `chain back { type nat hook postrouting priority 100; ip daddr ${LOOPBACK} tcp dport ${port} masquerade; };`,
    "}",
  ].join(" ");
  await guest.run(`sysctl -q -w net.ipv4.conf.all.route_localnet=1; nft '${table}'`, signal);
}

/** Nobody but the worker's user and root can find the password in the guest. */
async function lookForSecrets(secret: string, guest: GuestConsole, signal: AbortSignal): Promise<void> {
  // A set of one letter, so that the search does not find itself.
  const word = `'[${secret.slice(0, 1)}]${secret.slice(1)}'`;
  const found = await guest.run(
    [
      `w=${word}`,
      'grep -l -a -e "$w" /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null',
      'journalctl --no-pager | grep -c -e "$w" | grep -v "^0$"',
      'docker inspect $(docker ps -aq) 2>/dev/null | grep -c -e "$w" | grep -v "^0$"',
      'grep -rl -e "$w" /home /etc /var/lib/iexec-worker /var/log /tmp /root 2>/dev/null',
      "true",
    ].join("\r"),
    signal,
  );
  mustBe("what shows the password", found, "");
}

interface Times {
  readonly desktop: number;
  readonly registered: number;
  readonly done: number;
  readonly off: number;
}

async function joinByMachine(dir: string, disk: string, network: ReachableNetwork, signal: AbortSignal): Promise<Times & { seen: string }> {
  const { address, env } = network.rig.worker();
  const password = env.IEXEC_WORKER_WALLET_PASSWORD ?? "";
  const wallet = JSON.stringify(JSON.parse(await readFile(env.IEXEC_WORKER_WALLET_PATH ?? "", "utf8")));
  const machine = await VirtualMachine.powerOn({ disk, dir }, signal);
  const since = (): number => Math.round((performance.now() - machine.poweredOnAt) / 100) / 10;
  const guest = await GuestConsole.open(machine.serialPath);
  try {
    await network.rig.until("the desktop with its icons", () => desktopIsShown(machine), signal, 500);
    const desktop = since();
    await machine.photograph(join(ROOT, "out/vm-desktop.png"));
    await guest.logIn(signal);
    await lendRegistry(network, guest, signal);
    const path = "/home/iexec/.ethereum/keystore/wallet.json";
    await guest.run(`printf %s '${wallet}' | install -o iexec -g iexec -m 600 /dev/stdin ${path}`, signal);

    const clickedAt = performance.now();
    await clickUntil(() => terminalIsShown(machine), { machine, icon: LAUNCH, rig: network.rig }, signal);
    await guest.until(asksForLine("choose-keyboard"), signal);
    await machine.type("\n");
    await guest.until(ASKS_UNSEEN, signal);
    await machine.type(`${password}\n`);
    await guest.until(ASKS_KEYS, signal);
    await machine.type(`${network.scheduler.url}\n`);
    await guest.run(`while ${ASKS_KEYS}; do :; done; until ${ASKS_KEYS}; do :; done`, signal);
    await machine.type("yes\n");
    await network.rig.until("the worker at its scheduler", () => isRegistered(network, address), signal, 500);
    const registered = since();
    await guest.until(asksForLine("launch-worker"), signal);
    await machine.photograph(join(ROOT, "out/vm-worker.png"));
    await machine.type("no\n");
    const launch = Math.round((performance.now() - clickedAt) / 1_000);

    await network.doTask(address, "TEXT=vm", signal);
    const done = since();
    await machine.photograph(join(ROOT, "out/vm-task.png"));
    const seen = await guest.run(
      [
        "docker info --format 'engine {{.ServerVersion}}, cgroup v{{.CgroupVersion}}'",
        'grep -o \'"runtime": *"[a-z-]*"\' /var/lib/iexec-worker/tasks/isolation.json | tr -d \'"\'',
        "df --output=size -BG / | tail -n 1 | sed 's/ */disk /'",
        'free -m | awk \'/^Mem/ { print $3 " of " $2 " MiB used" }\'',
        "echo open to outside: $(ss -lntuH | awk '{ print $5 }' | grep -v -e '^127' -e '^.::1.' | tr '\\n' ' ')",
      ].join("\r"),
      signal,
    );
    await lookForSecrets(password, guest, signal);
    const stoppedAt = performance.now();
    const isStopping = async () => ((await guest.run("pgrep -x stop-worker || true", signal)) === "" ? undefined : true);
    await Promise.race([machine.switchedOff, clickUntil(isStopping, { machine, icon: STOP, rig: network.rig }, signal)]);
    const reason = await machine.switchedOff;
    mustBe("the reason of the end", reason, "guest-shutdown");
    const off = Math.round((performance.now() - stoppedAt) / 100) / 10;
    return { desktop, registered, done, off, seen: `launch to all set ${launch} s; ${seen.split("\n").join(", ")}` };
  } catch (thrown) {
    await machine.photograph(join(ROOT, "out/vm-failed.png")).catch(() => undefined);
    throw thrown;
  } finally {
    guest.close();
    await machine.close();
  }
}

/** The guide's virtual machine: the appliance that `./run vm` builds, started by its own boot loader, driven with mouse and keyboard. */
export const VM_CASES: readonly Scenario<JoinWorld>[] = [
  { id: "vm-appliance", timeoutMs: BUILD_LIMIT_MS, run: (_, signal) => checkAppliance(signal) },
  {
    id: "vm",
    timeoutMs: RUN_LIMIT_MS,
    run: (_, signal) =>
      withFolder(async (dir) => {
        if (!(await installed("qemu-system-x86_64", signal))) throw new SkipScenario("needs: apt-get install qemu-system-x86");
        const { files, bytes } = await unpackedAppliance(dir, signal);
        const host = ownAddress();
        const network = await startReachableNetwork({ listenOn: host, as: host, wallets: 1 }, signal);
        try {
          const disk = join(dir, files.find((name) => name.endsWith(".vmdk")) ?? "");
          const { desktop, registered, done, off, seen } = await joinByMachine(dir, disk, network, signal);
          return [
            `OVA ${(bytes / 1e6).toFixed(0)} MB`,
            `power-on to desktop ${desktop} s, to registered ${registered} s, to first task paid ${done} s`,
            seen,
            `Stop Worker to powered off ${off} s`,
          ].join("; ");
        } finally {
          await network.close();
        }
      }),
  },
];
