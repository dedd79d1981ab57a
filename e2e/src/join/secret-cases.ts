import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { lowerHex } from "@iexec-ts/poco";
import { generatePrivateKey, privateKeyToAddress } from "viem/accounts";
import { must, mustBe } from "../operator/expect.ts";
import { ETHER, RLC } from "../operator/world.ts";
import type { Scenario } from "../scenario.ts";
import { docker, logsOf } from "./docker-worker.ts";
import type { JoinWorld } from "./join-world.ts";
import { onMachine, UNPROVED, WORKER } from "./script-machine.ts";
import { run } from "./shell.ts";

const LIMIT_MS = 400_000;
/** What a secret of a build would look like. */
const SUSPICIOUS = /BEGIN (?:EC |RSA |OPENSSH )?PRIVATE KEY|"ciphertext"|_authToken|NPM_TOKEN/;

export const SECRET_CASES: readonly Scenario<JoinWorld>[] = [
  {
    id: "secrets",
    timeoutMs: LIMIT_MS,
    run: (world, signal) =>
      onMachine(world, signal, {}, async (machine, url) => {
        const [network, watch, images] = await Promise.all([world.network(signal), world.watch(), world.images(signal)]);
        const key = generatePrivateKey();
        watch.add("private key", key);
        const password = watch.add("password", `pw-${randomBytes(9).toString("hex")}`);
        const wallet = lowerHex(privateKeyToAddress(key));
        await network.rig.chain.giveNative(wallet, ETHER);
        await network.rig.chain.giveRlc(wallet, 10n * RLC);
        await machine.file("key", `${key}\n`);
        await machine.file("pass", `${password}\n`);

        // A person at a shell that remembers what was typed.
        const shell = machine.at(["bash", "-i"]);
        shell.type(`curl -fsSO ${url}/join/worker.sh`);
        shell.type(`sh worker.sh --yes --key-file key --password-file pass ${UNPROVED.join(" ")}; echo joined-$?`);
        await shell.shows(/joined-0/, signal);
        shell.type("exit");
        await shell.end(signal);
        const done = await network.doTask(wallet, "TEXT=secret", signal);
        await machine.run(["sh", "worker.sh", "--status"], signal);

        const history = await machine.read(".bash_history");
        must(history.includes("--key-file"), "the shell remembers nothing");
        watch.check("the history of the shell", history);
        watch.check("the worker's log", await logsOf(WORKER, signal));
        watch.check("the environment of the worker", await docker(["exec", WORKER, "cat", "/proc/1/environ"], signal));
        const kept = (path: string): boolean => ["key", "pass", "password"].some((name) => path.endsWith(`/${name}`));
        const files = await watch.checkFolder(machine.home, kept);
        const state = await docker(["volume", "inspect", "-f", "{{.Mountpoint}}", `${WORKER}-state`], signal);
        const journal = await watch.checkFolder(state);
        must(files > 0 && journal > 0, "no file was looked at");
        must(watch.secretsIn(await readFile(join(machine.home, "pass"))).length === 1, "the search itself finds nothing");

        for (const { name } of Object.values(images)) {
          const text = await run(
            ["sh", "-c", 'docker save "$1" | tar -xO --wildcards "*.tar" | grep -aoE "[[:print:]]{16,}"', "sh", name],
            signal,
          );
          must(text.code === 0 && text.output.length > 1_000_000, `${name} could not be read: ${text.output.slice(0, 300)}`);
          watch.check(`the layers of ${name}`, text.output);
          const steps = await docker(["history", "--no-trunc", name], signal);
          mustBe(`suspicious in the history of ${name}`, SUSPICIOUS.exec(steps)?.[0], undefined);
        }
        const { secrets, processes, containers } = watch.counts;
        must(processes > 0 && containers > 0, "nothing was looked at");
        mustBe("secrets found", watch.findings.join("; "), "");
        return `${secrets} passwords and keys: not in the command lines of ${processes} processes, the inspection of ${containers} containers, the shell's history, terminals, the worker's log and environment, ${files + journal} files, or the layers of ${Object.keys(images).length} images; a task was paid after ${done.seconds} s meanwhile`;
      }),
  },
];
