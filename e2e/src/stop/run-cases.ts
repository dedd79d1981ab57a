import { setTimeout as delay } from "node:timers/promises";
import { type Command, ROOT, withCommand } from "../demo/command.ts";
import type { Scenario } from "../scenario.ts";
import { belongings, walletsBelow } from "./belongings.ts";
import type { Draw } from "./draw.ts";

/** What the longest orderly end of a run promises, and a little for a busy machine. */
const END_MS = 60_000;
/** What only waits for the kernel, the sweeper or the engine is given a moment. */
const SETTLE_MS = 50_000;

type Signal = "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGKILL";

export interface StoppedRun {
  readonly words: readonly string[];
  /** The moment is drawn up to here after its start, in milliseconds. */
  readonly withinMs: number;
  /** Not before it said this, where it says anything. */
  readonly from?: RegExp;
}

/** Ports are chosen by the system: other runs may use the usual ones. */
const ANY = ["chain", "scheduler", "result-proxy", "gateway", "worker", "registry"].flatMap((name) => [`--${name}-port`, "0"]);

/** One run for each command that starts something. */
export const RUNS = {
  test: { words: ["test", "packages/testkit/src/chain", "packages/testkit/src/postgres"], withinMs: 8_000 },
  e2e: { words: ["e2e", "demo", "--only", "one-task"], withinMs: 20_000 },
  network: { words: ["network", ...ANY], withinMs: 15_000 },
  demo: { words: ["demo", ...ANY, "--samples", "400"], withinMs: 20_000 },
  bench: { words: ["bench", "soak"], withinMs: 25_000 },
  check: { words: ["check", "types", "lint"], withinMs: 8_000 },
} as const satisfies Readonly<Record<string, StoppedRun>>;

async function lookUntilEmpty(tmp: string, wallets: ReadonlySet<string>): Promise<void> {
  const until = performance.now() + SETTLE_MS;
  for (;;) {
    const left = await belongings(tmp, wallets);
    if (left.length === 0) return;
    if (performance.now() > until) throw new Error(`left behind: ${left.slice(0, 6).join("; ")}`);
    await delay(200);
  }
}

/** Remembers the wallets of the run's workers, whose files go with the run. */
function watchWallets(command: Command): { readonly seen: Set<string>; stop(): void } {
  const seen = new Set<string>();
  const look = () => void walletsBelow(command.tmp).then((found) => found.forEach((wallet) => void seen.add(wallet)));
  const looking = setInterval(look, 500);
  return { seen, stop: () => clearInterval(looking) };
}

/** Starts `./run …`, sends one signal at a moment drawn by the seed, and looks for what is left. @param to - the run script alone, or its group */
async function stopAt(run: StoppedRun, how: { readonly name: Signal; readonly to: "one" | "group" }, draw: Draw): Promise<string> {
  const afterMs = draw.below(run.withinMs);
  return withCommand(
    () => ["bash", "./run", ...run.words],
    { cwd: process.env.JUDGE_CWD ?? ROOT },
    async (command) => {
      const wallets = watchWallets(command);
      try {
        await delay(afterMs);
        const before = await belongings(command.tmp, wallets.seen);
        const from = performance.now();
        command.signal(how.name, how.to);
        const { code } = await command.end(END_MS).catch((thrown: unknown) => {
          throw new Error(`${how.name} after ${afterMs} ms: ${String(thrown)}`);
        });
        const seconds = ((performance.now() - from) / 1_000).toFixed(1);
        await lookUntilEmpty(command.tmp, wallets.seen).catch((thrown: unknown) => {
          throw new Error(`${how.name} to the ${how.to} after ${afterMs} ms: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
        });
        return `${how.name} after ${(afterMs / 1_000).toFixed(1)} s, ${before.length} things were there: ended with ${code ?? "the signal"} in ${seconds} s`;
      } finally {
        wallets.stop();
      }
    },
  );
}

const WAYS: readonly { readonly name: Signal; readonly to: "one" | "group" }[] = [
  { name: "SIGINT", to: "one" },
  { name: "SIGINT", to: "group" },
  { name: "SIGTERM", to: "one" },
  { name: "SIGHUP", to: "group" },
  { name: "SIGKILL", to: "one" },
];

/** Each command ended in each way, at moments drawn by the seed; nothing of it stays. */
export const RUN_CASES: readonly Scenario<Draw>[] = Object.entries(RUNS).flatMap(([command, run]) =>
  WAYS.map(
    (how): Scenario<Draw> => ({
      id: `${command}-${how.name.toLowerCase()}${how.to === "group" ? "-group" : ""}`,
      short: command === "test" && how.name === "SIGINT" && how.to === "one",
      timeoutMs: 240_000,
      run: (draw) => stopAt(run, how, draw),
    }),
  ),
);
