import { copyFile, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { lowerHex } from "@iexec-ts/poco";
import { openKeystore } from "@iexec-ts/service";
import type { Balances } from "@iexec-ts/testkit";
import { privateKeyToAddress } from "viem/accounts";
import { z } from "zod";
import { withCommand } from "../demo/command.ts";
import type { Scenario } from "../scenario.ts";
import { EXIT, must, mustBe, mustEnd, mustHide, mustRefuse, mustShow } from "./expect.ts";
import type { Operator } from "./operator.ts";
import { ETHER, RLC, type World } from "./world.ts";

const LIMIT_MS = 240_000;
const INSTALL_MS = 120_000;
/** The public command line, never a dependency. */
const SDK = "iexec@9.0.1";
const NO_PASSWORD = { IEXEC_WORKER_WALLET_PASSWORD_FILE: "" };

const balancesOf = async ({ rig: { chain } }: World, { address }: Pick<Operator, "address">): Promise<Balances> => {
  const found = (await chain.balancesOf([address])).get(address);
  must(found !== undefined, "no balances");
  return found;
};

const balanceAnswer = z.object({
  nativeWei: z.string().transform(BigInt),
  rlcNano: z.string().transform(BigInt),
  freeNano: z.string().transform(BigInt),
  lockedNano: z.string().transform(BigInt),
});

/** What the command says is what the chain says, to the nRLC and the wei. */
async function mustAgree(world: World, operator: Operator, signal: AbortSignal): Promise<Balances> {
  const [{ data }, truth] = [await operator.json(["wallet", "balance"], signal), await balancesOf(world, operator)];
  const shown = balanceAnswer.parse(data);
  mustBe("coins", shown.nativeWei, BigInt(truth.native));
  mustBe("RLC in the wallet", shown.rlcNano, BigInt(truth.token));
  mustBe("free stake", shown.freeNano, BigInt(truth.stake));
  mustBe("locked stake", shown.lockedNano, BigInt(truth.locked));
  return truth;
}

const confirm = (digits: string) => [{ to: /Type the amount \([0-9.]+\) to confirm:/, type: digits }];

/** Opens wallet files another program made, with the worker's own commands. */
async function mustOpen(world: World, file: string, password: string, address: string, signal: AbortSignal): Promise<void> {
  const operator = await world.operator({ wallet: false, env: NO_PASSWORD });
  await mkdir(join(operator.home, "wallet"), { recursive: true, mode: 0o700 });
  await copyFile(file, operator.walletPath);
  mustBe("the address shown", (await operator.json(["wallet", "show"], signal)).data.address, address);
  const opened = await operator.run(["wallet", "check-backup", file], signal, { answers: [{ to: /Password of/, type: password }] });
  mustShow(mustEnd(opened, EXIT.ok), address);
  mustHide(opened, password);
  const wrong = await operator.run(["wallet", "check-backup", file], signal, { answers: [{ to: /Password of/, type: `${password} ` }] });
  mustRefuse(wrong, EXIT.person, "SVC-1302");
}

export const WALLET_SCENARIOS: readonly Scenario<World>[] = [
  {
    id: "wallet-show-and-balance",
    short: true,
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator({ funds: { ether: 2n * ETHER + 7n, rlc: 5n * RLC + 1n, stake: 3n * RLC + 2n } });
      const shown = mustEnd(await operator.run(["wallet", "show"], signal), EXIT.ok);
      mustShow(shown, operator.address, "mode     0600, only for its owner", "no worker now");
      const truth = await mustAgree(world, operator, signal);
      const seen = mustEnd(await operator.run(["wallet", "balance"], signal), EXIT.ok);
      mustShow(seen, "2.000000000000000007 ETH", "5.000000001 RLC  (5000000001 nRLC)", "3.000000002 RLC  (3000000002 nRLC)");
      return `as on chain to the last unit: ${truth.stake} nRLC free, ${truth.token} nRLC in the wallet, ${truth.native} wei`;
    },
  },
  {
    id: "wallet-deposit-and-withdraw",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator({ funds: { ether: ETHER, rlc: 10n * RLC, stake: RLC } });
      const dry = mustEnd(await operator.run(["wallet", "deposit", "2.5", "--dry-run"], signal), EXIT.ok);
      mustShow(dry, "would deposit 2.5 RLC", "nothing was sent");
      const mistyped = await operator.run(["wallet", "deposit", "2.5"], signal, { answers: confirm("25") });
      mustRefuse(mistyped, EXIT.failed, "WRK-2004");
      mustBe("free stake before", BigInt((await balancesOf(world, operator)).stake), RLC);
      const put = mustEnd(await operator.run(["wallet", "deposit", "2.5"], signal, { answers: confirm("2.5") }), EXIT.ok);
      mustShow(put, "done: deposit 2.5 RLC", "1.0 RLC -> 3.5 RLC", "10.0 RLC -> 7.5 RLC");
      const taken = await operator.run(["wallet", "withdraw", "0.000000001"], signal, { answers: confirm("0.000000001") });
      mustShow(mustEnd(taken, EXIT.ok), "3.5 RLC -> 3.499999999 RLC");
      const truth = await mustAgree(world, operator, signal);
      mustBe("free stake after", BigInt(truth.stake), 3_499_999_999n);
      mustRefuse(await operator.run(["wallet", "withdraw", "100", "--yes"], signal), EXIT.person, "WRK-2007");
      mustRefuse(await operator.run(["wallet", "deposit", "much", "--yes"], signal), EXIT.usage, "WRK-2005");
      const { code, data } = await operator.json(["ledger"], signal);
      must(code === EXIT.ok && data.reconciled === true, "the ledger does not explain the account");
      return "typed again to confirm, moved exactly that, one nRLC withdrawn; a mistyped amount sends nothing";
    },
  },
  {
    id: "wallet-transfer",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator({ funds: { ether: ETHER, rlc: 10n * RLC } });
      const receiver = lowerHex(privateKeyToAddress(world.key("receiver")));
      const sent = await operator.run(["wallet", "transfer", "1.25 RLC", receiver], signal, { answers: confirm("1.25") });
      mustShow(mustEnd(sent, EXIT.ok), `transfer 1.25 RLC to ${receiver}`);
      mustEnd(await operator.run(["wallet", "transfer", "0.1 ETH", receiver], signal, { answers: confirm("0.1") }), EXIT.ok);
      const got = await balancesOf(world, { address: receiver });
      mustBe("RLC received", BigInt(got.token), (125n * RLC) / 100n);
      mustBe("coins received", BigInt(got.native), ETHER / 10n);
      await mustAgree(world, operator, signal);
      mustRefuse(await operator.run(["wallet", "transfer", "1 ETH", "0x12", "--yes"], signal), EXIT.usage, "WRK-2012");
      mustRefuse(await operator.run(["wallet", "transfer", "1", receiver, "--yes"], signal), EXIT.usage, "WRK-2005");
      const listed = await operator.json(["tx", "list"], signal);
      mustBe("transactions listed", listed.data.total, 2);
      const shown = await operator.run(["tx", "show", "wallet:transfer:"], signal);
      mustRefuse(shown, EXIT.usage, "WRK-2011");
      return "RLC and ETH arrived to the last unit; both are in `tx list`";
    },
  },
  {
    id: "wallet-busy",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      const worker = operator.worker().start();
      await world.rig.until("the worker's page", async () => ((await reachable(operator.pageUrl)) ? true : undefined), signal);
      const before = await balancesOf(world, operator);
      mustRefuse(await operator.run(["wallet", "withdraw", "1"], signal), EXIT.person, "WRK-2003");
      mustShow(await operator.run(["wallet", "show"], signal), "a worker that runs now");
      mustEnd(await operator.run(["wallet", "withdraw", "1", "--dry-run"], signal), EXIT.ok);
      mustBe("free stake", (await balancesOf(world, operator)).stake, before.stake);
      await worker.stop();
      mustEnd(await operator.run(["wallet", "withdraw", "1", "--yes"], signal), EXIT.ok);
      await mustAgree(world, operator, signal);
      return "refused while the worker runs, done once it has stopped";
    },
  },
  {
    id: "wallet-by-stdin-and-file",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator({ wallet: false, env: NO_PASSWORD });
      const key = world.key("piped key");
      const keyFile = await operator.file("key.txt", `${key}\n`);
      const passwordFile = await operator.file("pw.txt", `${operator.password}\n`);
      const shell = (line: string) => operator.at(["bash", "-c", line]).end(signal);
      const made = mustEnd(await shell(`iexec-worker wallet import --password-file '${passwordFile}' < '${keyFile}'`), EXIT.ok);
      mustHide(made, key.slice(2), operator.password);
      const address = lowerHex(privateKeyToAddress(key));
      mustShow(made, address);
      mustBe("the mode", ((await stat(operator.walletPath)).mode & 0o777).toString(8), "600");
      const copy = join(operator.home, "copy.json");
      await copyFile(operator.walletPath, copy);
      const piped = await shell(`iexec-worker wallet check-backup '${copy}' --password-file - < '${passwordFile}'`);
      mustShow(mustEnd(piped, EXIT.ok), address);
      const byEnvironment = await operator.run(["wallet", "check-backup", copy, "--no-input"], signal, {
        env: { IEXEC_WORKER_WALLET_PASSWORD_FILE: passwordFile },
      });
      mustEnd(byEnvironment, EXIT.ok);
      const guide = { IEXEC_WORKER_WALLET_PASSWORD: operator.password };
      mustEnd(await operator.run(["wallet", "check-backup", copy, "--no-input"], signal, { env: guide }), EXIT.ok);
      mustRefuse(await operator.run(["wallet", "check-backup", copy, "--no-input"], signal), EXIT.usage, "WRK-2002");
      mustRefuse(await operator.run(["wallet", "import", "--no-input", "--wallet-path", copy], signal), EXIT.person, "SVC-1307");
      mustEnd(await operator.run(["wallet", "create", "--wallet-password", "x"], signal), EXIT.usage);
      return "key by standard input, password by file, standard input, *_FILE and the guide's variable; never by flag";
    },
  },
  {
    id: "wallet-of-iexec-and-geth",
    timeoutMs: LIMIT_MS + 2 * INSTALL_MS,
    async run(world, signal) {
      const operator = await world.operator({ wallet: false });
      const folder = join(operator.home, "sdk");
      await mkdir(folder);
      await writeFile(join(folder, "package.json"), "{}");
      await installSdk(folder);
      const password = world.password("SDK wallet");
      const made = join(folder, "made");
      await mkdir(made);
      // At its prompts: by flag, password and key would stand in the list of processes.
      const iexec = operator.at([process.execPath, join(folder, "node_modules/.bin/iexec"), "wallet", "create", "--keystoredir", made]);
      for (const question of [/choose a password .*masked/, /confirm your password .*masked/]) {
        await iexec.shows(question, signal);
        iexec.type(password);
      }
      mustEnd(await iexec.end(signal), EXIT.ok);
      const [file = ""] = await readdir(made);
      const wallet = await openKeystore(await readFile(join(made, file), "utf8"), password);
      world.watch.add("key of the SDK wallet", wallet.privateKey.reveal());
      await mustOpen(world, join(made, file), password, wallet.address, signal);

      const key = world.key("geth wallet");
      const keyPath = await operator.file("geth-key", key);
      const passwordPath = await operator.file("geth-password", password);
      const script = join(folder, "geth.cjs");
      await writeFile(script, GETH_FORMS);
      const written = await withCommand(
        () => [process.execPath, script, keyPath, passwordPath, made],
        { cwd: folder },
        (command) => command.end(INSTALL_MS),
      );
      mustBe(`the geth forms (${written.stderr.slice(-200)})`, written.code, 0);
      for (const form of ["light", "standard"])
        await mustOpen(world, join(made, `geth-${form}.json`), password, lowerHex(privateKeyToAddress(key)), signal);
      return `${SDK} and geth's two parameter sets: shown, opened, and refused with a wrong password`;
    },
  },
];

/** A registry far away sometimes leaves an install hanging; the second one finds most of it in npm's cache. */
async function installSdk(folder: string, tries = 2): Promise<void> {
  try {
    const { code, stderr } = await withCommand(
      () => ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder, SDK],
      { cwd: folder },
      (command) => command.end(INSTALL_MS),
    );
    mustBe(`npm install ${SDK} (${stderr.slice(-200)})`, code, 0);
  } catch (thrown) {
    if (tries <= 1) throw thrown;
    await installSdk(folder, tries - 1);
  }
}

/** An independent implementation of the format, with geth's light and standard parameters. @source go-ethereum accounts/keystore/passphrase.go */
const GETH_FORMS = `const fs = require("node:fs");
const [, , keyFile, passwordFile, out] = process.argv;
const [privateKey, password] = [keyFile, passwordFile].map((path) => fs.readFileSync(path, "utf8").trim());
const { Wallet, encryptKeystoreJsonSync } = require("ethers");
const account = { address: new Wallet(privateKey).address, privateKey };
const forms = { light: { N: 4096, r: 8, p: 6 }, standard: { N: 262144, r: 8, p: 1 } };
for (const [name, scrypt] of Object.entries(forms))
  fs.writeFileSync(out + "/geth-" + name + ".json", encryptKeystoreJsonSync(account, password, { scrypt }));
`;

const reachable = (url: string): Promise<boolean> =>
  fetch(`${url}/v1/status`).then(
    ({ ok }) => ok,
    () => false,
  );
