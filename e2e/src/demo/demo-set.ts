import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { ScenarioSet } from "../scenario.ts";
import { interruptions } from "./interruptions.ts";
import { requireNothingLeft } from "./leftovers.ts";
import { withNetworkCommand } from "./network-command.ts";
import { lookAtPng } from "./png.ts";
import { reportOf, requireCompleted, requireMoneyAddsUp } from "./report.ts";
import { sdkScenario } from "./sdk.ts";

const LONG_MS = 300_000;
const DEMO_LIMIT_MS = 280_000;
const MANY = 10;

/** The keys the SDK's command line knows; it refuses a file with any other. @source services.md 1.2 */
const sdkChains = z.strictObject({
  default: z.literal("local"),
  chains: z.strictObject({
    local: z.strictObject({
      id: z.string().regex(/^\d+$/),
      host: z.string().regex(/^http:/),
      hub: z.string().regex(/^0x[0-9a-fA-F]{40}$/),
      ipfsGateway: z.url(),
    }),
  }),
});

/** `./run demo` and `./run network`, from outside. */
export const demoSet: ScenarioSet<undefined> = {
  name: "demo",
  summary: "./run demo and ./run network as a newcomer starts and stops them",
  open: async () => ({ context: undefined, close: async () => undefined }),
  scenarios: [
    {
      id: "one-task",
      short: true,
      timeoutMs: LONG_MS,
      run: () =>
        withNetworkCommand("demo", ["--json"], async (command, registryPort) => {
          const report = reportOf(await command.end(DEMO_LIMIT_MS));
          requireCompleted(report.tasks, 3);
          const paid = requireMoneyAddsUp(report.balances);
          const { width, height, shades } = lookAtPng(await readFile(report.resultPath));
          if (width !== 320 || height !== 200 || shades < 32) throw new Error(`a picture of ${width}x${height} with ${shades} shades`);
          await requireNothingLeft(command, registryPort);
          return `3 workers, ${report.blocks} blocks, ${paid} nRLC paid, ${width}x${height} pixels, overhead ${report.overheadMs} ms, nothing left`;
        }),
    },
    {
      id: "ten-tasks",
      timeoutMs: LONG_MS,
      run: () =>
        withNetworkCommand(
          "demo",
          ["--json", "--tasks", String(MANY), "--workers", "3", "--trust", "1", "--width", "64", "--samples", "4"],
          async (command, registryPort) => {
            const report = reportOf(await command.end(DEMO_LIMIT_MS));
            requireCompleted(report.tasks, 1);
            const pictures = await Promise.all(report.tasks.map(async ({ resultPath }) => lookAtPng(await readFile(resultPath))));
            if (report.completed !== MANY || pictures.length !== MANY) throw new Error(`${report.completed} of ${MANY} tasks completed`);
            requireMoneyAddsUp(report.balances);
            await requireNothingLeft(command, registryPort);
            return `${report.completed} of ${MANY} tasks in ${report.blocks} blocks`;
          },
        ),
    },
    {
      id: "block-time-1",
      timeoutMs: LONG_MS,
      run: () =>
        withNetworkCommand("demo", ["--json", "--block-time", "1", "--width", "64"], async (command, registryPort) => {
          const report = reportOf(await command.end(DEMO_LIMIT_MS));
          requireCompleted(report.tasks, 3);
          requireMoneyAddsUp(report.balances);
          await requireNothingLeft(command, registryPort);
          return `completed in ${report.blocks} blocks of 1 s`;
        }),
    },
    {
      id: "keep",
      timeoutMs: LONG_MS,
      run: (_, signal) =>
        withNetworkCommand("demo", ["--json", "--keep", "--width", "64"], async (command, registryPort) => {
          await command.says(/stays up/, signal);
          const [, url = ""] = await command.says(/scheduler +(http:\S+)/, signal);
          const answer = await fetch(`${url}/health`, { signal });
          if (!answer.ok) throw new Error(`the scheduler answers ${answer.status} after the demo`);
          command.interrupt();
          const report = reportOf(await command.end());
          requireCompleted(report.tasks, 3);
          await requireNothingLeft(command, registryPort);
          return "up after the demo, gone after Ctrl-C, report printed";
        }),
    },
    {
      id: "network",
      timeoutMs: LONG_MS,
      run: (_, signal) =>
        withNetworkCommand("network", [], async (command, registryPort) => {
          await command.says(/the network is ready/, signal);
          const { chains } = sdkChains.parse(JSON.parse(await readFile(join(command.out, "chain.json"), "utf8")));
          const answer = await fetch(chains.local.host, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_chainId", params: [] }),
            signal,
          });
          const { result } = z.object({ result: z.string() }).parse(await answer.json());
          if (BigInt(result) !== BigInt(chains.local.id)) throw new Error(`chain.json says ${chains.local.id}, the node ${result}`);
          command.interrupt();
          const { code } = await command.end();
          if (code !== 0) throw new Error(`ended with ${code}`);
          await requireNothingLeft(command, registryPort);
          return `chain.json names chain ${chains.local.id}; files written: ${(await readdir(command.out)).join()}`;
        }),
    },
    ...interruptions,
    sdkScenario,
  ],
};
