import type { Head, TxOutcome } from "@iexec-ts/chain";
import { chainTime } from "@iexec-ts/poco";
import { CodedError, createWatchdog, silentLogger, systemClock } from "@iexec-ts/service";
import { type PostgresServer, startPostgres } from "@iexec-ts/testkit";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type Database, openDatabase } from "../store/database.ts";
import { migrate } from "../store/migrate.ts";
import { fastClock } from "../test/fast-clock.ts";
import { writeTasks, writeWish } from "../test/rows.ts";
import { createCallRunner } from "./call-runner.ts";

const HEAD: Head = { number: 1n, hash: "0x1", timestamp: chainTime(1_000n), baseFeePerGas: undefined };
let postgres: PostgresServer;
let database: Database;
let drop: () => Promise<void>;
let stop: AbortController;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(async () => {
  await postgres.stop();
});
beforeEach(async () => {
  const made = await postgres.createDatabase();
  drop = made.drop;
  database = await openDatabase(made.url, { connections: 4 });
  await migrate(database);
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  await database.close();
  await drop();
});

function running(submit: (id: string, signal: AbortSignal | undefined) => Promise<TxOutcome>) {
  const outcomes: string[] = [];
  const codes: string[] = [];
  const runner = createCallRunner({
    database,
    hub: { configuration: { address: `0x${"11".repeat(20)}`, callbackGas: 0n } },
    pool: {
      head: () => HEAD,
      waitForBlock: async () => HEAD,
    },
    queue: { submit: ({ id }, signal) => submit(id, signal) },
    clock: fastClock(400),
    logger: silentLogger,
    onError: (thrown) => codes.push(CodedError.from(thrown).code),
    onOutcome: (_, outcome) => outcomes.push(outcome),
    signal: stop.signal,
  });
  void createWatchdog().keep({ loop: "calls", boundMs: 60_000, signal: stop.signal }, runner.run);
  return { runner, outcomes, codes };
}
const until = async (what: () => Promise<boolean> | boolean): Promise<void> => {
  while (!(await what())) await systemClock.sleep(10);
};
const settled = async (): Promise<number | undefined> =>
  (await database.numbers("SELECT count(*) AS value FROM effects WHERE state = 'settled'", []))[0];

test("a submission that never returns is made again, with the same id, and its wish is settled once", async () => {
  const [id = "0x"] = await writeTasks(database, 1);
  await writeWish(database, id);
  const asked: { readonly id: string; readonly signal: AbortSignal | undefined }[] = [];
  const { outcomes, codes } = running(async (intent, signal) => {
    asked.push({ id: intent, signal });
    if (asked.length < 3) await new Promise<never>(() => undefined);
    return { kind: "expired" };
  });
  await until(async () => (await settled()) === 1);
  expect(asked.map((each) => each.id)).toEqual([`claim:${id}`, `claim:${id}`, `claim:${id}`]);
  expect(asked.slice(0, 2).every(({ signal }) => signal?.aborted === true)).toBe(true);
  await until(() => outcomes.length > 0);
  expect([outcomes, codes]).toEqual([["expired"], []]);
});

test("one that hangs does not keep the others waiting, and one that failed is tried again", async () => {
  const [first = "0x", second = "0x"] = await writeTasks(database, 2);
  for (const id of [first, second]) await writeWish(database, id);
  let failed = 0;
  const { codes } = running(async (intent) => {
    if (intent.endsWith(first)) await new Promise<never>(() => undefined);
    failed += 1;
    if (failed === 1) throw new CodedError("CHN-3004");
    return { kind: "expired" };
  });
  await until(async () => (await settled()) === 1);
  expect(codes).toEqual(["CHN-3004"]);
});
