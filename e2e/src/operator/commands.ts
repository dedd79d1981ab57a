import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Scenario } from "../scenario.ts";
import { EXIT, must, mustBe, mustEnd, mustRefuse, mustShow } from "./expect.ts";
import type { Operator } from "./operator.ts";
import { RLC, type World } from "./world.ts";

const LIMIT_MS = 300_000;
const run = promisify(execFile);

/** The commands that a Tab offers, as words. */
async function commandsOf(operator: Operator, signal: AbortSignal): Promise<readonly string[]> {
  const { data } = await operator.json(["completion", "bash"], signal);
  return [...String(data.script).matchAll(/^ {4}([a-z-]+)\) .*compgen -W "([^"]*)"/gm)].flatMap(([, noun = "", words = ""]) => {
    const verbs = words.split(" ").filter((word) => /^[a-z]/.test(word));
    return verbs.length === 0 || noun === "completion" ? [noun] : verbs.map((verb) => `${noun} ${verb}`);
  });
}

/** What each command needs to be run; a new command must be added here. */
const ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
  init: ["--output", "again.json"],
  "task show": ["0x"],
  "task logs": ["0x"],
  "task abort": ["0x", "--yes"],
  "task reveal": ["0x"],
  "task retry-upload": ["0x"],
  "tx show": ["reveal:"],
  "tx bump": ["reveal:", "--yes"],
  "tx cancel": ["reveal:", "--yes"],
  "wallet check-backup": ["copy.json"],
  "wallet deposit": ["1", "--dry-run"],
  "wallet withdraw": ["1", "--dry-run"],
  "wallet transfer": ["1 RLC", `0x${"5".repeat(40)}`, "--dry-run"],
  "config explain": ["gasPriceCap"],
  "image prune": ["--dry-run"],
  completion: ["bash"],
  "policy preset": ["always"],
  "policy set": ["minPrice", "0"],
  "support bundle": ["--output", "bundle.tar.gz"],
};
/** Runs until it is told to end. */
const LONG_RUNNING = ["start"];

/** A shell lists them in columns. */
const VERBS = /(?=[\s\S]*balance)(?=[\s\S]*check-backup)(?=[\s\S]*withdraw)/;

export const COMMAND_SCENARIOS: readonly Scenario<World>[] = [
  {
    id: "json-of-every-command",
    timeoutMs: 3 * LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      await world.doTask(operator, "TEXT=json", signal);
      const commands = (await commandsOf(operator, signal)).filter((command) => !LONG_RUNNING.includes(command));
      must(commands.length >= 25, `help shows only ${commands.join(", ")}`);
      const documented: readonly number[] = Object.values(EXIT);
      for (const command of commands) {
        const { code, data } = await operator.json([...command.split(" "), ...(ARGUMENTS[command] ?? [])], signal);
        must(documented.includes(code), `${command} ended with ${code}`);
        mustBe(`ok of ${command}`, data.ok, code === EXIT.ok);
        if (data.error === undefined) mustBe("the command", data.command, command);
        else must(/^([A-Z]{3}-\d{4}|usage)$/.test(data.error.code), `${command} has no code: ${data.error.message}`);
      }
      return `${commands.length} commands answered in JSON of schema 1, each with a documented exit code`;
    },
  },
  {
    id: "exit-codes",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      mustEnd(await operator.run(["paths"], signal), EXIT.ok);
      const mistyped = await operator.run(["wallet", "withdraw", "1"], signal, { answers: [{ to: /to confirm:/, type: "2" }] });
      mustRefuse(mistyped, EXIT.failed, "WRK-2004");
      const typo = mustEnd(await operator.run(["wallet", "balances"], signal), EXIT.usage);
      mustShow(typo, "balance");
      mustEnd(await operator.run(["status", "--watched"], signal), EXIT.usage);
      mustRefuse(await operator.run(["wallet", "withdraw", "5000", "--yes"], signal), EXIT.person, "WRK-2007");
      const away = { IEXEC_WORKER_OVERRIDE_BLOCKCHAIN_NODE_ADDRESS: "http://127.0.0.1:9" };
      mustEnd(await operator.run(["wallet", "balance"], signal, { env: away }), EXIT.temporary);
      // A task under way has not locked its stake yet: that money stays.
      const worker = operator.worker().start();
      const taskId = await world.rig.buyOne("TEXT=promised SLEEP=8");
      await world.rig.untilStatus(taskId, "COMPUTING", signal, operator.address);
      await worker.kill();
      const { stake } = (await world.rig.chain.balancesOf([operator.address])).get(operator.address) ?? { stake: 0n };
      mustRefuse(await operator.run(["wallet", "withdraw", `${stake - RLC / 10n} nRLC`, "--yes"], signal), EXIT.refused, "WRK-2008");
      worker.start();
      await world.rig.untilStatus(taskId, "COMPLETED", signal, operator.address);
      await worker.stop();
      return "0 done, 1 not confirmed, 2 mistyped (and guessed), 3 no such money, 4 node away, 5 needed by an open task";
    },
  },
  {
    id: "bare-command-and-help",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      const bare = mustEnd(await operator.run([], signal), EXIT.ok);
      mustShow(bare, "iexec-worker init", "iexec-worker start", /STOPPED|no worker runs/);
      const help = mustEnd(await operator.run(["wallet", "deposit", "--help"], signal), EXIT.ok);
      must(help.text.trimStart().startsWith("Examples:"), "help does not begin with examples");
      return "short help with the state of this machine; help begins with examples";
    },
  },
  {
    id: "completion-bash",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      const shell = operator.at(["bash", "--norc", "-i"], { PS1: "READY> ", HISTFILE: "" });
      await shell.shows(/READY> /, signal);
      shell.type('eval "$(iexec-worker completion bash)"; echo loa""ded');
      await shell.shows(/loaded/, signal);
      await shell.shows(/READY> /, signal);
      // One Tab completes what is unambiguous, two show the choice.
      shell.press("iexec-worker why\t");
      await shell.shows(/iexec-worker why-idle/, signal);
      shell.press("\u0015iexec-worker wallet \t\t");
      await shell.shows(VERBS, signal);
      shell.press("\u0015");
      shell.type("exit");
      await shell.end(signal);
      return "Tab completed why-idle and listed the verbs of wallet in a real bash";
    },
  },
  {
    id: "completion-zsh",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      await provideZsh();
      const operator = await world.operator();
      const home = { ZDOTDIR: operator.home, PS1: "READY> ", PROMPT: "READY> " };
      await writeFile(join(operator.home, ".zshrc"), "autoload -Uz compinit && compinit -u\nPROMPT='READY> '\n");
      const shell = operator.at(["zsh", "-i"], home);
      await shell.shows(/READY> /, signal);
      shell.type('eval "$(iexec-worker completion zsh)"; echo loa""ded');
      await shell.shows(/loaded/, signal);
      await shell.shows(/READY> /, signal);
      shell.press("iexec-worker why\t");
      await shell.shows(/why-idle/, signal);
      shell.press("\u0015iexec-worker wallet \t");
      await shell.shows(VERBS, signal);
      shell.press("\u0003");
      // An interrupt throws away what was typed behind it.
      await shell.shows(/READY> /, signal);
      shell.type("exit");
      await shell.end(signal);
      return "the same in a real zsh";
    },
  },
];

/** A shell that Debian does not bring along. SIDE EFFECTS: installs it there, as root. */
async function provideZsh(): Promise<void> {
  const there = await run("zsh", ["--version"]).then(
    () => true,
    () => false,
  );
  if (there) return;
  must(process.getuid?.() === 0, "this needs zsh: sudo apt-get install zsh");
  await run("apt-get", ["install", "-y", "--no-install-recommends", "zsh"], { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } });
}
