import { copyFile, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { lowerHex } from "@iexec-ts/poco";
import { openKeystore } from "@iexec-ts/service";
import { privateKeyToAddress } from "viem/accounts";
import type { Scenario } from "../scenario.ts";
import { EXIT, must, mustBe, mustEnd, mustHide, mustRefuse, mustShow } from "./expect.ts";
import type { Operator } from "./operator.ts";
import { ETHER, RLC, type World } from "./world.ts";

const LIMIT_MS = 180_000;
const URL_QUESTION = /Address of the workerpool's scheduler/;
const POOL_QUESTION = /speaks for workerpool 0x[0-9a-f]{40}\. Is that yours\? Type yes:/;
const WALLET_QUESTION = /There is no wallet at .*Type create or import:/;
const NEW_PASSWORD = /New password for the wallet:/;
const AGAIN = /The same again:/;
const COPY_QUESTION = /Type the path of the copy, or later:/;
const CTRL_C = "\u0003";

/** A machine on which nothing is set up: the wizard must ask for everything. */
const FRESH = { IEXEC_CORE_URL: "", POOL_ADDRESS: "", IEXEC_WORKER_WALLET_PASSWORD_FILE: "" };
const configPath = (operator: Operator): string => join(operator.home, ".config", "iexec-worker", "config.json");
const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

async function mustBeClosed(path: string): Promise<void> {
  mustBe(`the mode of ${path}`, ((await stat(path)).mode & 0o777).toString(8), "600");
}

export const INIT_SCENARIOS: readonly Scenario<World>[] = [
  {
    id: "init-new-wallet",
    short: true,
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator({ wallet: false, env: FRESH });
      // In a shell of the person's own, whose history is looked at afterwards.
      const history = join(operator.home, "history");
      const shell = operator.at(["bash", "--norc", "-i"], { HISTFILE: history, PS1: "READY> " });
      await shell.shows(/READY> /, signal);
      shell.type("iexec-worker init");
      await shell.shows(URL_QUESTION, signal);
      shell.type(world.rig.network.schedulerUrl);
      await shell.shows(POOL_QUESTION, signal);
      shell.type("yes");
      await shell.shows(WALLET_QUESTION, signal);
      shell.type("create");
      await shell.shows(NEW_PASSWORD, signal);
      shell.type(operator.password);
      await shell.shows(AGAIN, signal);
      shell.type(operator.password);
      await shell.shows(COPY_QUESTION, signal);
      shell.type(operator.walletPath);
      await shell.shows(/WRK-2015/, signal);
      const copy = join(operator.home, "usb-stick.json");
      await copyFile(operator.walletPath, copy);
      await shell.shows(COPY_QUESTION, signal);
      shell.type(copy);
      await shell.shows(/Password of .*:/, signal);
      shell.type(`${operator.password}x`);
      await shell.shows(/SVC-1302/, signal);
      await shell.shows(COPY_QUESTION, signal);
      shell.type(copy);
      await shell.shows(/Password of .*:/, signal);
      shell.type(operator.password);
      await shell.shows(/the copy .* opens with the password/, signal);
      const [, address = ""] = await shell.shows(/send ETH for gas to (0x[0-9a-f]{40})/, signal);
      await shell.shows(/Next: /, signal);
      await shell.shows(/READY> /, signal);
      shell.type("echo code=$?; exit");
      const seen = await shell.end(signal);
      mustHide(seen, operator.password);
      await mustBeClosed(operator.walletPath);
      await mustBeClosed(configPath(operator));
      const wallet = await openKeystore(await readFile(operator.walletPath, "utf8"), operator.password);
      world.watch.add("key made by init", wallet.privateKey.reveal());
      mustBe("the address", wallet.address, address);
      const lines = await readFile(history, "utf8");
      mustShow({ text: lines }, "iexec-worker init");
      mustHide({ text: lines }, operator.password);
      operator.address = lowerHex(wallet.address);
      await world.fund(operator.address, { ether: ETHER, stake: 10n * RLC });
      // What init wrote is all that a worker and the commands need; only the password comes on top.
      const env = { ...FRESH, IEXEC_WORKER_WALLET_PASSWORD_FILE: await operator.file("password", operator.password) };
      const { code, data } = await operator.json(["config", "validate"], signal, { env });
      must(code === EXIT.ok && data.valid === true, "the config file of init is not accepted");
      return "asked for pool, wallet, password twice and a copy; refused the file itself and a wrong password as backup; nothing secret on screen or in the history";
    },
  },
  {
    id: "init-imported-wallet",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator({ wallet: false, env: FRESH });
      const key = world.key("imported wallet");
      const address = lowerHex(privateKeyToAddress(key));
      await world.fund(address, { ether: ETHER, stake: RLC });
      const copy = join(operator.home, "copy.json");
      const seen = mustEnd(
        await operator.run(["init"], signal, {
          answers: [
            { to: URL_QUESTION, type: world.rig.network.schedulerUrl },
            { to: POOL_QUESTION, type: "yes" },
            { to: WALLET_QUESTION, type: "import" },
            { to: /Private key .*:/, type: key },
            { to: NEW_PASSWORD, type: operator.password },
            { to: AGAIN, type: operator.password },
            { to: COPY_QUESTION, type: "later" },
          ],
        }),
        EXIT.ok,
      );
      mustHide(seen, operator.password, key.slice(2), key.slice(2, 20));
      mustShow(seen, address, "check-backup", "1.0 ETH for gas", "1.0 RLC of free stake");
      await copyFile(operator.walletPath, copy);
      const checked = await operator.run(["wallet", "check-backup", copy], signal, {
        answers: [{ to: /Password of/, type: operator.password }],
      });
      mustShow(mustEnd(checked, EXIT.ok), address);
      mustHide(checked, operator.password);
      const wallet = await openKeystore(await readFile(operator.walletPath, "utf8"), operator.password);
      mustBe("the key in the file", wallet.privateKey.reveal(), key);
      return "key and password typed unseen; funds shown; the copy proved later by check-backup";
    },
  },
  {
    id: "init-refusals",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const fresh = await world.operator({ wallet: false, env: FRESH });
      const url = { to: URL_QUESTION, type: world.rig.network.schedulerUrl };
      const start = [url, { to: POOL_QUESTION, type: "yes" }, { to: WALLET_QUESTION, type: "create" }];
      const differ = await fresh.run(["init"], signal, {
        answers: [...start, { to: NEW_PASSWORD, type: fresh.password }, { to: AGAIN, type: `${fresh.password}?` }],
      });
      mustRefuse(differ, EXIT.failed, "WRK-2013");
      mustRefuse(await fresh.run(["init"], signal, { answers: [url, { to: POOL_QUESTION, type: "y" }] }), EXIT.failed, "WRK-2004");
      mustRefuse(await fresh.run(["init"], signal, { before: ["taskset", "-c", "0"] }), EXIT.person, "WRK-1002");
      mustRefuse(await fresh.run(["init", "--core-url", "http://127.0.0.1:9"], signal), EXIT.temporary, "WIR-1001");
      const other = `0x${"7".repeat(40)}`;
      mustRefuse(await fresh.run(["init", "--pool-address", other], signal, { answers: [url] }), EXIT.person, "WRK-1004");
      must(!(await exists(fresh.walletPath)) && !(await exists(configPath(fresh))), "a refused init left a file");
      const known = await world.operator({ env: FRESH });
      const wrong = await known.run(["init"], signal, {
        answers: [url, { to: POOL_QUESTION, type: "yes" }, { to: /Password of/, type: world.password("nobody") }],
      });
      mustRefuse(wrong, EXIT.person, "SVC-1302");
      mustEnd(
        await known.run(["init"], signal, {
          answers: [url, { to: POOL_QUESTION, type: "yes" }, { to: /Password of/, type: known.password }],
        }),
        EXIT.ok,
      );
      mustRefuse(await known.run(["init"], signal), EXIT.person, "WRK-2014");
      return "passwords that differ, pool not confirmed, 1 CPU, no scheduler, another pool, wrong password, config there: each by its code, nothing left behind";
    },
  },
  {
    id: "init-ctrl-c",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator({ wallet: false, env: FRESH });
      const terminal = operator.at(["iexec-worker", "init"]);
      await terminal.shows(URL_QUESTION, signal);
      terminal.type(world.rig.network.schedulerUrl);
      await terminal.shows(POOL_QUESTION, signal);
      terminal.type("yes");
      await terminal.shows(WALLET_QUESTION, signal);
      terminal.type("create");
      await terminal.shows(NEW_PASSWORD, signal);
      terminal.press(CTRL_C);
      const seen = await terminal.end(signal);
      mustEnd(seen, EXIT.failed);
      must(!(await exists(operator.walletPath)), "Ctrl-C left a wallet");
      const question = operator.at(["iexec-worker", "init"]);
      await question.shows(URL_QUESTION, signal);
      question.press(CTRL_C);
      const left = await question.end(signal);
      must(left.code !== EXIT.ok, "Ctrl-C at a question counts as done");
      mustHide(left, "    at ");
      return `left at the password and at a question (exit ${seen.code} and ${left.code}), no file made, no stack shown`;
    },
  },
  {
    id: "init-for-scripts",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator({ wallet: false, env: FRESH });
      const nobody = await operator.run(["init", "--no-input", "--core-url", world.rig.network.schedulerUrl], signal);
      mustRefuse(nobody, EXIT.usage, "WRK-2002");
      const output = join(operator.home, "worker.json");
      const flags = [
        "--core-url",
        world.rig.network.schedulerUrl,
        "--pool-address",
        world.rig.network.prepared.workerpool.address,
        "--password-file",
        await operator.file("secret", `${operator.password}\n`),
        "--output",
        output,
      ];
      const made = await operator.json(["init", "--no-input", ...flags], signal);
      // Nothing to pay gas with yet: the file is there, a person must act.
      mustBe("the exit code", made.code, EXIT.person);
      mustBe("ready", made.data.ready, false);
      await mustBeClosed(output);
      const text = await readFile(output, "utf8");
      mustHide({ text }, operator.password);
      mustShow({ text }, "walletPasswordFile");
      const wallet = await openKeystore(await readFile(operator.walletPath, "utf8"), operator.password);
      world.watch.add("key made by a script", wallet.privateKey.reveal());
      const { data } = await operator.json(["config", "validate", "--config", output], signal);
      mustBe("valid", data.valid, true);
      return "same file without a question; the password stays in its own file; exit 3 because it must be funded";
    },
  },
];
