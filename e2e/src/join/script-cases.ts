import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { lowerHex } from "@iexec-ts/poco";
import { EXIT, must, mustBe, mustEnd, mustShow } from "../operator/expect.ts";
import { ETHER, RLC } from "../operator/world.ts";
import type { Scenario } from "../scenario.ts";
import type { CleanMachine, MachineOptions } from "./clean-machine.ts";
import { docker, GUIDE_BASE, leftovers } from "./docker-worker.ts";
import { JOIN_IMAGE, type JoinWorld } from "./join-world.ts";
import { onMachine, UNPROVED, WORKER } from "./script-machine.ts";
import { run } from "./shell.ts";

const LIMIT_MS = 540_000;
const ADDRESS = /0x[0-9a-fA-F]{40}/;
/** The commands of the page, as a person copies them. */
async function commandsOfPage(machine: CleanMachine, url: string, signal: AbortSignal): Promise<readonly string[]> {
  const page = await machine.mustRun(["curl", "-fsS", `${url}/join`], signal);
  const commands = [...page.matchAll(/<pre><code>([\s\S]*?)<\/code><\/pre>/g)].map(([, text = ""]) => text.replaceAll("&amp;", "&"));
  must(commands.length >= 5, "the page shows no commands");
  must(!/<script|https?:\/\/(?!10\.|172\.|127\.)[^<\s"]*\.(?:js|css)/.test(page), "the page loads something from elsewhere");
  return commands;
}

const sh = (text: string): readonly [string, ...string[]] => ["sh", "-c", text];
const idOf = (name: string, signal: AbortSignal) => docker(["inspect", "-f", "{{.Image}}", name], signal);

/** SIDE EFFECTS: tags another image as the pool's newest: the same with one more layer of settings. */
async function publish(recipe: string, signal: AbortSignal): Promise<void> {
  const built = await run(["docker", "build", "-q", "-t", JOIN_IMAGE, "-"], signal, { input: `FROM ${JOIN_IMAGE}\n${recipe}\n` });
  must(built.code === 0, `the next image was not built: ${built.output.slice(-300)}`);
}

/** What must not be there when nobody has joined. */
async function nothingJoined(world: JoinWorld, machine: CleanMachine, signal: AbortSignal): Promise<void> {
  const left = await leftovers(world.docker, WORKER, lowerHex(`0x${"0".repeat(40)}`));
  const volumes = await docker(["volume", "ls", "-q", "--filter", `name=${WORKER}-state`], signal);
  const home = (await readdir(machine.home)).filter((name) => name === ".iexec-worker");
  mustBe("left by a run that failed", [...left, volumes, ...home].filter((each) => each !== "").join(", "), "");
}

/** One way in which joining must not go, ended with this exit code and these words. */
const refusal = (
  id: string,
  what: {
    readonly machine?: MachineOptions;
    readonly exit: number;
    readonly says: readonly string[];
    /** In the shell of the machine; `worker.sh` is in the home folder. */
    readonly command?: string;
    readonly files?: (world: JoinWorld, machine: CleanMachine) => Promise<unknown>;
  },
): Scenario<JoinWorld> => ({
  id,
  timeoutMs: LIMIT_MS,
  run: (world, signal) =>
    onMachine(world, signal, what.machine ?? {}, async (machine, url) => {
      await chmod(await machine.file("worker.sh", await (await fetch(`${url}/join/worker.sh`)).text()), 0o644);
      await what.files?.(world, machine);
      const seen = await machine.run(sh(what.command ?? "sh worker.sh --yes"), signal);
      mustEnd(seen, what.exit);
      mustShow(seen, ...what.says);
      await nothingJoined(world, machine, signal);
      return `exit ${what.exit}: ${seen.text.trim().split("\n").slice(-2).join(" ").replace(/\s+/g, " ").slice(0, 180)}`;
    }),
});

export const SCRIPT_CASES: readonly Scenario<JoinWorld>[] = [
  {
    id: "script",
    timeoutMs: LIMIT_MS,
    run: (world, signal) =>
      onMachine(world, signal, {}, async (machine, url) => {
        const network = await world.network(signal);
        const commands = await commandsOfPage(machine, url, signal);
        const named = (part: string): string => commands.find((each) => each.includes(part)) ?? "";
        // Steps 1 and 2 of the page: get it, check it.
        await machine.mustRun(sh(named("/join/worker.sh")), signal);
        mustShow({ text: await machine.mustRun(sh(named("sha256sum -c")), signal) }, "worker.sh: OK");
        mustShow({ text: await machine.mustRun(sh(named("openssl pkeyutl")), signal) }, "Signature Verified Successfully");
        await machine.mustRun(sh("echo ' ' >> worker.sh"), signal);
        mustEnd(await machine.run(sh(named("sha256sum -c")), signal), 1);

        // The one line, with a wallet made on the way and money sent when it is asked for.
        const watch = await world.watch();
        const password = watch.add("password typed into the script", `pw-${randomBytes(9).toString("hex")}`);
        const line = `${named("&& sh worker.sh")} ${UNPROVED.join(" ")}`;
        const began = performance.now();
        const terminal = machine.at(sh(line));
        await terminal.shows(/Type create for a new one/, signal);
        terminal.type("create");
        await terminal.shows(/Password of the wallet \(not shown\):/, signal);
        terminal.type(password);
        await terminal.shows(/The same again:/, signal);
        terminal.type(password);
        const [asked] = await terminal.shows(/The wallet 0x[0-9a-fA-F]{40} needs [^\n]*/, signal);
        const wallet = lowerHex(ADDRESS.exec(asked)?.[0] as `0x${string}`);
        mustShow({ text: asked }, "coins for gas", "RLC");
        await network.rig.chain.giveNative(wallet, ETHER);
        await network.rig.chain.giveRlc(wallet, 10n * RLC);
        await terminal.shows(/press Enter to look again/, signal);
        terminal.type("");
        await terminal.shows(/Deposit [0-9.]+ RLC as stake\?.*\[y\/N\]/, signal);
        terminal.type("y");
        await terminal.shows(/your worker is all set/, signal);
        const joined = Math.round((performance.now() - began) / 100) / 10;
        mustEnd(await terminal.end(signal), EXIT.ok);
        const first = await network.doTask(wallet, "TEXT=script", signal);

        mustShow(mustEnd(await machine.run(["sh", "worker.sh", "--status"], signal), EXIT.ok), "RUNNING", "COMPLETED");
        mustShow(mustEnd(await machine.run(["sh", "worker.sh", "--yes"], signal), EXIT.ok), "runs already");

        // The newest image is the one that runs; then there is a newer one.
        mustShow(mustEnd(await machine.run(["sh", "worker.sh", "--update", "--yes"], signal), EXIT.ok), "newest image already");
        const before = await idOf(WORKER, signal);
        await publish("LABEL next=yes", signal);
        const update = mustEnd(await machine.run(["sh", "worker.sh", "--update", "--yes"], signal), EXIT.ok);
        mustShow(update, "updated");
        must((await idOf(WORKER, signal)) !== before, "the update changed nothing");
        const second = await network.doTask(wallet, "TEXT=updated", signal);

        // A newer one that does not work: the worker goes on with the one it had.
        const good = await idOf(WORKER, signal);
        await publish('ENTRYPOINT ["/bin/false"]', signal);
        const broken = mustEnd(await machine.run(["sh", "worker.sh", "--update", "--yes"], signal), EXIT.failed);
        mustShow(broken, "did not join", "runs again with the image it had");
        mustBe("the image after a broken update", await idOf(WORKER, signal), good);
        const third = await network.doTask(wallet, "TEXT=rolled-back", signal);
        await docker(["tag", good, JOIN_IMAGE], signal);

        // A stopped one is started by the same line.
        await docker(["stop", WORKER], signal);
        mustShow(mustEnd(await machine.run(["sh", "worker.sh", "--yes"], signal), EXIT.ok), "started");

        const refused = mustEnd(await machine.run(["sh", "worker.sh", "--remove", "--forget-wallet", "--yes"], signal), EXIT.refused);
        mustShow(refused, "holds RLC", "runs again as before");
        const removed = mustEnd(await machine.run(["sh", "worker.sh", "--remove", "--withdraw", "--yes"], signal), EXIT.ok);
        mustShow(removed, "kept:");
        mustBe("left by --remove", (await leftovers(world.docker, WORKER, wallet)).join(), "");
        mustBe("volumes left", await docker(["volume", "ls", "-q", "--filter", `name=${WORKER}`], signal), "");
        must(!existsSync(GUIDE_BASE), `${GUIDE_BASE} is left`);
        const kept = await readdir(join(machine.home, ".iexec-worker/local"));
        mustBe("kept", kept.sort().join(), "password,wallet.json");
        mustBe("stake left", (await network.rig.network.hub.account(wallet)).stake, 0n);
        return [
          `from nothing to registered ${joined} s (with typing and funding)`,
          `tasks paid: after joining (${first.seconds} s), after --update (${second.seconds} s), after a broken update that was taken back (${third.seconds} s)`,
          `--update ${update.seconds} s, --remove ${removed.seconds} s`,
          "left: the wallet and its password",
        ].join("; ");
      }),
  },
  {
    id: "script-unattended",
    timeoutMs: LIMIT_MS,
    run: (world, signal) =>
      onMachine(world, signal, {}, async (machine, url) => {
        const network = await world.network(signal);
        const { env, address } = network.rig.worker();
        const wallet = await machine.file("mine.json", await readFile(env.IEXEC_WORKER_WALLET_PATH ?? "", "utf8"));
        const password = await machine.file("mine.password", `${env.IEXEC_WORKER_WALLET_PASSWORD}\n`);
        const given = ["--yes", "--wallet", wallet, "--password-file", password, ...UNPROVED].join(" ");
        const joined = await machine.run(sh(`curl -fsSO ${url}/join/worker.sh && sh worker.sh ${given}`), signal);
        mustShow(mustEnd(joined, EXIT.ok), "your worker is all set");
        const done = await network.doTask(address, "TEXT=unattended", signal);
        mustShow(mustEnd(await machine.run(["sh", "worker.sh", "--remove", "--yes"], signal), EXIT.ok), "kept:");
        mustBe("left by --remove", (await leftovers(world.docker, WORKER, address)).join(), "");
        return `from nothing to registered ${joined.seconds} s; task paid after ${done.seconds} s`;
      }),
  },
  {
    id: "script-nothing-kept",
    timeoutMs: LIMIT_MS,
    run: (world, signal) =>
      onMachine(world, signal, {}, async (machine, url) => {
        // Nobody to ask and no money: a wallet is made and kept, and the words say what to send where.
        const first = await machine.run(sh(`curl -fsSO ${url}/join/worker.sh && sh worker.sh --yes`), signal);
        mustShow(mustEnd(first, EXIT.person), "has to be funded first", "kept:");
        const wallet = ADDRESS.exec(first.text)?.[0] ?? "";
        // The same line again goes on with the same wallet.
        const second = mustEnd(await machine.run(["sh", "worker.sh", "--yes"], signal), EXIT.person);
        mustShow(second, wallet);
        mustShow(
          mustEnd(await machine.run(["sh", "worker.sh", "--remove", "--forget-wallet", "--yes"], signal), EXIT.ok),
          "nothing is kept",
        );
        await nothingJoined(world, machine, signal);
        const files = (await readdir(machine.home)).sort().join();
        mustBe("the home folder", files, "worker.sh");
        return "an unfunded wallet is kept and found again; --remove --forget-wallet leaves only the script";
      }),
  },
  {
    id: "script-interrupted",
    timeoutMs: LIMIT_MS,
    run: (world, signal) =>
      onMachine(world, signal, {}, async (machine, url) => {
        const network = await world.network(signal);
        const { env } = network.rig.worker();
        await machine.file("worker.sh", await (await fetch(`${url}/join/worker.sh`)).text());
        // While a password is asked for: the terminal shows again what is typed.
        const asking = machine.at(sh("sh worker.sh; stty -a"));
        await asking.shows(/Type create/, signal);
        asking.type("create");
        await asking.shows(/Password of the wallet \(not shown\):/, signal);
        asking.press("\u0003");
        const asked = await asking.end(signal);
        must(!/ -echo /.test(asked.text), "the terminal stays mute");
        await nothingJoined(world, machine, signal);
        // While the worker starts.
        await machine.file("mine.json", await readFile(env.IEXEC_WORKER_WALLET_PATH ?? "", "utf8"));
        await machine.file("mine.password", `${env.IEXEC_WORKER_WALLET_PASSWORD}\n`);
        const starting = machine.at(sh("sh worker.sh --yes --wallet mine.json --password-file mine.password"));
        await starting.shows(/starting the worker/, signal);
        starting.press("\u0003");
        mustEnd(await starting.end(signal), 130);
        const left = await leftovers(world.docker, WORKER, lowerHex(`0x${"0".repeat(40)}`));
        mustBe("left by Ctrl-C", left.join(), "");
        mustBe("volumes left", await docker(["volume", "ls", "-q", "--filter", `name=${WORKER}`], signal), "");
        return "Ctrl-C at the password and while the worker starts: container and volume are gone, the terminal is as before";
      }),
  },
  refusal("script-no-docker", {
    machine: { without: ["/usr/bin/docker"] },
    exit: EXIT.person,
    says: ["Docker is not installed", "apt-get install docker.io"],
  }),
  refusal("script-no-engine", { machine: { socket: false }, exit: EXIT.person, says: ["SBX-1001", "systemctl start docker"] }),
  refusal("script-no-right", { machine: { user: 65534 }, exit: EXIT.person, says: ["SBX-1003", "usermod -aG docker"] }),
  refusal("script-one-cpu", { machine: { under: ["taskset", "-c", "0"] }, exit: EXIT.person, says: ["WRK-1002", "1 CPU"] }),
  refusal("script-little-disk", {
    machine: { mounts: [["/var/lib/docker", ["-t", "tmpfs", "-o", "size=16m", "tmpfs"]]] },
    exit: EXIT.person,
    says: ["WRK-1003", "16 MiB"],
  }),
  refusal("script-clock-off", {
    exit: EXIT.person,
    says: ["The clock of this machine is", "set-ntp"],
    command: "faketime -f +1h sh worker.sh --yes",
  }),
  refusal("script-pool-away", {
    exit: EXIT.temporary,
    says: ["does not answer", "try again later"],
    command: "sed -i \"s#^CORE_URL=.*#CORE_URL='http://10.255.255.1:9'#; s#max-time 20#max-time 2#\" worker.sh; sh worker.sh --yes",
  }),
  refusal("script-other-pool", {
    exit: EXIT.person,
    says: ["WRK-1004"],
    command: `sed -i "s#^WORKERPOOL=.*#WORKERPOOL='0x${"11".repeat(20)}'#" worker.sh; sh worker.sh --yes --wallet mine.json --password-file mine.password`,
    files: (world, machine) => giveWallet(world, machine, undefined),
  }),
  refusal("script-wrong-password", {
    exit: EXIT.person,
    says: ["SVC-1302"],
    command: "sh worker.sh --yes --wallet mine.json --password-file mine.password",
    files: (world, machine) => giveWallet(world, machine, "not the password"),
  }),
  refusal("script-no-image", {
    exit: EXIT.temporary,
    says: ["could not be pulled"],
    command: "sh worker.sh --yes --image 127.0.0.1:9/no/such:image",
  }),
  refusal("script-nobody-to-ask", { exit: EXIT.usage, says: ["--password-file"], command: "sh worker.sh < /dev/null" }),
  refusal("script-wrong-words", {
    exit: EXIT.usage,
    says: ["There is no --frobnicate", "--forget-wallet"],
    command: "sh worker.sh --frobnicate",
  }),
  refusal("script-no-worker", { exit: EXIT.person, says: ["There is no worker"], command: "sh worker.sh --status" }),
];

/** A funded wallet of the rig in the home folder, with its password or another one. */
async function giveWallet(world: JoinWorld, machine: CleanMachine, password: string | undefined): Promise<void> {
  const { rig } = await world.network(AbortSignal.timeout(1_000));
  const { env } = rig.worker();
  await machine.file("mine.json", await readFile(env.IEXEC_WORKER_WALLET_PATH ?? "", "utf8"));
  await machine.file("mine.password", `${password ?? env.IEXEC_WORKER_WALLET_PASSWORD}\n`);
}
