import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ROOT } from "../demo/command.ts";
import type { Scenario } from "../scenario.ts";
import { EXIT, must, mustBe, mustEnd, mustHide, mustRefuse, mustShow, reasonsOf } from "./expect.ts";
import type { Operator } from "./operator.ts";
import type { World } from "./world.ts";

const LIMIT_MS = 180_000;
/** Copied from the worker guide, with its placeholders. */
const GUIDE_LINE = join(ROOT, "fixtures", "worker-guide-docker-run.txt");
const NO_ADDRESS = { IEXEC_CORE_URL: "", IEXEC_CORE_HOST: "", IEXEC_CORE_PORT: "", IEXEC_CORE_PROTOCOL: "" };

const settingSchema = z.object({ key: z.string(), value: z.string(), source: z.string(), from: z.string(), reload: z.string() });
const explained = async (operator: Operator, key: string, signal: AbortSignal, env = {}, flags: readonly string[] = []) =>
  settingSchema.parse((await operator.json(["config", "explain", key, ...flags], signal, { env })).data.setting);

/** The `--env` words of the guide's line, literally. */
async function guideEnvironment(): Promise<Record<string, string>> {
  const text = await readFile(GUIDE_LINE, "utf8");
  return Object.fromEntries([...text.matchAll(/--env "([A-Z_0-9]+)=([^"]*)"/g)].map(([, name = "", value = ""]) => [name, value]));
}

export const SETTINGS_SCENARIOS: readonly Scenario<World>[] = [
  {
    id: "settings-of-the-guide",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      const guide = await guideEnvironment();
      mustBe("variables in the guide's line", Object.keys(guide).length, 5);
      // As it stands, placeholders and all.
      const bare = Object.fromEntries(Object.keys(operator.env).map((name) => [name, ""]));
      const { data } = await operator.json(["config", "diff"], signal, { env: { ...bare, ...guide } });
      const found = new Map(
        z
          .array(settingSchema)
          .parse(data.settings)
          .map((each) => [each.key, each]),
      );
      mustBe("the scheduler's host", found.get("coreHost")?.value, "public-pool.iex.ec");
      mustBe("the scheduler's port", found.get("corePort")?.value, "18090");
      mustBe("the wallet", found.get("walletPath")?.value, "/iexec-wallet/wallet.json");
      mustBe("the name", found.get("name")?.value, "MY_WORKER_NAME");
      mustBe("the password as shown", found.get("walletPassword")?.value, "[redacted]");
      mustBe("settings not of the guide", [...found.keys()].length, 5);
      const valid = await operator.json(["config", "validate"], signal, { env: { ...bare, ...guide } });
      mustBe("valid", valid.data.valid, true);
      // Filled in, it is all that a worker needs besides where this test keeps its folders.
      const { hostname, port } = new URL(world.rig.network.schedulerUrl);
      const filled: Record<string, string> = {
        ...guide,
        IEXEC_WORKER_NAME: operator.name,
        IEXEC_CORE_HOST: hostname,
        IEXEC_CORE_PORT: port,
        IEXEC_WORKER_WALLET_PATH: operator.walletPath,
        IEXEC_WORKER_WALLET_PASSWORD: operator.password,
        IEXEC_WORKER_WALLET_PASSWORD_FILE: "",
        IEXEC_CORE_URL: "",
        POOL_ADDRESS: "",
      };
      await world.doTask(operator, "TEXT=guide", signal, filled);
      return "read literally, redacted, accepted; filled in, a worker joined with it and did a task";
    },
  },
  {
    id: "settings-scheduler-address",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      const url = new URL(world.rig.network.schedulerUrl);
      const generations = [
        { IEXEC_CORE_HOST: url.hostname, IEXEC_CORE_PORT: url.port },
        { IEXEC_CORE_PROTOCOL: "http", IEXEC_CORE_HOST: url.hostname, IEXEC_CORE_PORT: url.port },
        { IEXEC_CORE_URL: url.origin, IEXEC_CORE_HOST: "wins.example", IEXEC_CORE_PORT: "1" },
      ];
      for (const env of generations) {
        const { data } = await operator.json(["doctor"], signal, { env: { ...NO_ADDRESS, ...env } });
        const checks = z.array(z.object({ id: z.string(), verdict: z.string() })).parse(data.checks);
        mustBe(`scheduler by ${Object.keys(env).join("+")}`, checks.find(({ id }) => id === "scheduler")?.verdict, "PASS");
      }
      return "host and port, with protocol, and URL (which wins): each reaches the scheduler";
    },
  },
  {
    id: "settings-explained",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      const file = join(operator.home, "worker.json");
      await writeFile(file, JSON.stringify({ gasPriceCap: "3", minFreeMib: 5 }));
      const config = ["--config", file];
      const source = async (env: Readonly<Record<string, string>>, flags: readonly string[]) =>
        (await explained(operator, "gasPriceCap", signal, env, flags)).source;
      const env = { IEXEC_GAS_PRICE_CAP: "2" };
      mustBe("flag first", await source(env, [...config, "--gas-price-cap", "1"]), "flag");
      mustBe("then the environment", await source(env, config), "env");
      mustBe("then the file", await source({}, config), "file");
      mustBe("then the default", await source({}, []), "default");
      const shown = mustEnd(await operator.run(["config", "explain", "gasPriceCap", ...config], signal), EXIT.ok);
      mustShow(shown, "gasPriceCap = 3  (wei)", "environment  IEXEC_GAS_PRICE_CAP", "flag         --gas-price-cap", /a change +counts/);
      const unknown = await operator.run(["config", "explain", "gasPriceCup"], signal);
      mustRefuse(unknown, EXIT.usage, "SVC-1103");
      mustShow(unknown, "gasPriceCap");
      const wrong = await operator.run(["config", "validate"], signal, { env: { IEXEC_WORKER_PORT: "many", POOL_ADDRESS: "pool" } });
      mustEnd(wrong, EXIT.usage);
      mustShow(wrong, "IEXEC_WORKER_PORT", "POOL_ADDRESS");
      mustShow(await operator.run(["config", "validate"], signal, { env: { IEXEC_WORKER_NAMES: "x" } }), /IEXEC_WORKER_NAME/);
      return "flag, environment, file, default, in this order; every fault at once; typos guessed";
    },
  },
  {
    id: "settings-hot-change",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      const file = join(operator.home, ".config", "iexec-worker", "config.json");
      await operator.run(["init", "--no-input"], signal);
      const write = async (changes: object) =>
        writeFile(
          file,
          JSON.stringify({ ...z.record(z.string(), z.unknown()).parse(JSON.parse(await readFile(file, "utf8"))), ...changes }),
        );
      await write({ hours: "always", minFreeMib: 1 });
      const worker = operator.worker().start();
      const { pid } = worker;
      await world.rig.until("the worker joins", async () => ((await operator.log()).includes("all set") ? true : undefined), signal);
      await write({ minFreeMib: 900_000_000 });
      const says = (id: string) =>
        world.rig.until(
          `why-idle says ${id}`,
          async () => (reasonsOf((await operator.json(["why-idle"], signal)).data)[0]?.id === id ? true : undefined),
          signal,
        );
      await says("low-disk");
      const taskId = await world.rig.buyOne("TEXT=hot");
      await write({ minFreeMib: 1, hours: "never" });
      await says("outside-hours");
      mustBe("tasks taken meanwhile", worker.history(taskId).length, 0);
      await write({ hours: "always" });
      await world.rig.untilStatus(taskId, "COMPLETED", signal, operator.address);
      mustBe("the process", worker.pid, pid);
      const log = await operator.log();
      must(/"key":"minFreeMib","from":"1","to":"900000000"/.test(log), "the log does not say what changed, from what to what");
      await worker.stop();
      return "a limit and the hours changed in the file of a running worker: it obeyed both ways, in the same process, and logged from and to";
    },
  },
  {
    id: "tasks-and-transactions",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.veteran(signal);
      const listed = await operator.json(["task", "list"], signal);
      const [task] = z.array(z.object({ taskId: z.string(), status: z.string(), open: z.boolean() })).parse(listed.data.tasks);
      must(task !== undefined && task.status === "COMPLETED" && !task.open, "the task is not listed as completed");
      const begin = task.taskId.slice(0, 12);
      const shown = mustEnd(await operator.run(["task", "show", begin], signal), EXIT.ok);
      mustShow(
        shown,
        "CREATED",
        "COMPUTED",
        "CONTRIBUTED",
        "REVEALED",
        "RESULT_UPLOADED",
        "COMPLETED",
        /contribute:0x\S+ +mined/,
        /reveal:0x\S+ +mined/,
      );
      const logs = mustEnd(await operator.run(["task", "logs", begin], signal), EXIT.ok);
      mustShow(logs, "started", "--- exit code 0");
      mustRefuse(await operator.run(["task", "show", "0x00"], signal), EXIT.usage, "WRK-2011");
      const transactions = await operator.json(["tx", "list"], signal);
      const all = z.array(z.object({ id: z.string(), state: z.string(), hash: z.string() })).parse(transactions.data.transactions);
      const reveal = all.find(({ id }) => id.startsWith("reveal:"));
      must(reveal !== undefined && reveal.state === "mined", "the reveal is not listed");
      const receipt = await world.rig.chain.client.getTransactionReceipt({
        hash: z.templateLiteral(["0x", z.string()]).parse(reveal.hash),
      });
      mustBe("the receipt", receipt.status, "success");
      mustShow(mustEnd(await operator.run(["tx", "show", "reveal:"], signal), EXIT.ok), reveal.hash, String(receipt.blockNumber));
      return "task list, show, logs and tx list, show agree with journal and chain";
    },
  },
  {
    id: "disk-and-images",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.veteran(signal);
      mustShow(mustEnd(await operator.run(["image", "list"], signal), EXIT.ok), /pulled no image|probe/);
      mustShow(mustEnd(await operator.run(["image", "prune", "--dry-run"], signal), EXIT.ok), "nothing was removed");
      mustShow(
        mustEnd(await operator.run(["disk"], signal), EXIT.ok),
        "files of tasks",
        "journal and locks",
        "free; no task is asked for below",
      );
      mustShow(mustEnd(await operator.run(["paths"], signal), EXIT.ok), operator.walletPath, `${operator.address}.sqlite`);
      return "image list, prune --dry-run, disk and paths";
    },
  },
  {
    id: "status-at-the-terminal",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      const terminal = operator.at(["iexec-worker", "status", "--watch"]);
      await terminal.shows(/STOPPED/, signal);
      const worker = operator.worker().start();
      await terminal.shows(/RUNNING/, signal);
      const taskId = await world.rig.buyOne("TEXT=seen SLEEP=3");
      await terminal.shows(/COMPUTING|COMPUTED|CONTRIBUTED/, signal);
      await world.rig.untilStatus(taskId, "COMPLETED", signal, operator.address);
      await terminal.shows(/COMPLETED/, signal);
      terminal.press("\u0003");
      mustEnd(await terminal.end(signal), EXIT.ok);
      const coloured = mustEnd(await operator.run(["status"], signal), EXIT.ok);
      must(coloured.raw.includes("\u001b["), "no colour at a terminal");
      for (const env of [{ NO_COLOR: "1" }, { TERM: "dumb" }]) {
        const plain = mustEnd(await operator.run(["status"], signal, { env }), EXIT.ok);
        must(!plain.raw.includes("\u001b["), `colour with ${Object.keys(env).join()}`);
      }
      const piped = await operator.at(["bash", "-c", "iexec-worker status | cat"]).end(signal);
      must(!piped.raw.includes("\u001b["), "colour in a pipe");
      mustHide(piped, "Next: ");
      await worker.stop();
      return "--watch followed stop, start, computing and completed, and ended by Ctrl-C with 0; colour only where it belongs";
    },
  },
];
