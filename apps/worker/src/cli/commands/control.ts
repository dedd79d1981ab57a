import { existsSync } from "node:fs";
import { asDurationMs, CodedError } from "@iexec-ts/service";
import { askWorker } from "../../control/client.ts";
import type { Facts } from "../../control/wire.ts";
import { socketPath } from "../../control/wire.ts";
import { type Context, type Input, textOption } from "../context.ts";
import { type LocalFacts, localFacts, lockHolder, lockPath, needWallet } from "../facts/local-facts.ts";

/** Errors: WRK-2012. */
export function durationOption(input: Input, name: string, flag: string): number | undefined {
  const text = textOption(input, name);
  if (text === undefined) return undefined;
  const parsed = asDurationMs({ minMs: 1 }).safeParse(text);
  // Plain numbers are milliseconds in settings; a person who types one means something else.
  if (!parsed.success || /^\d+$/.test(text))
    throw new CodedError("WRK-2012", { what: flag, expected: "a time such as 90s, 30m or 2h", got: text });
  return parsed.data;
}

/** The worker of these settings as the operator's commands reach it. */
export interface Reached {
  readonly facts: LocalFacts;
  readonly wallet: `0x${string}`;
  readonly socket: string;
  readonly running: boolean;
  readonly holder: string;
}

/** Errors: SVC-13xx. */
export async function reach(context: Context): Promise<Reached> {
  const facts = await localFacts(context);
  const wallet = needWallet(facts, context.settings);
  const { running } = facts;
  return {
    facts,
    wallet,
    socket: socketPath(context.settings.stateDir, wallet),
    running: running.kind === "running",
    holder: running.kind === "running" ? running.holder : "",
  };
}

/**
 * Has the running worker do something.
 *
 * Errors: WRK-1512 no worker runs, WRK-1513 it does not answer; those of the action.
 */
export async function ask(context: Context, reached: Reached, action: string, input: Facts, what: string): Promise<Facts> {
  if (!reached.running) throw new CodedError("WRK-1512", { wallet: reached.wallet, what });
  const answer = await askWorker(reached.socket, action, input, { signal: context.signal });
  if (answer.kind === "done") return answer.facts;
  throw notReached(reached, answer.kind === "gone" ? "it ended" : answer.reason);
}

export const notReached = ({ holder, socket }: Reached, reason: string): CodedError =>
  new CodedError("WRK-1513", { holder, path: socket, reason: existsSync(socket) ? reason : "there is no socket" });

const LOOK_MS = 50;

/** Waits until the worker's process is gone. @returns whether it went in time */
export async function untilStopped({ settings, clock, signal }: Context, { wallet }: Reached, limitMs: number): Promise<boolean> {
  const path = lockPath(settings.stateDir, wallet);
  const end = clock.monotonicMs() + limitMs;
  while (lockHolder(path) !== undefined) {
    if (clock.monotonicMs() > end) return false;
    await clock.sleep(LOOK_MS, signal);
  }
  return true;
}
