import type { Head } from "@iexec-ts/chain";
import { chainTime, type TaskId } from "@iexec-ts/poco";
import { CodedError, createWatchdog, systemClock, type Watchdog } from "@iexec-ts/service";
import { type PostgresServer, startPostgres } from "@iexec-ts/testkit";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type Database, openDatabase } from "../store/database.ts";
import { migrate } from "../store/migrate.ts";
import { writeTasks } from "../test/rows.ts";
import { createDispatcher } from "./dispatcher.ts";

let postgres: PostgresServer;
let database: Database;
let drop: () => Promise<void>;
let stop: AbortController;
let watchdog: Watchdog;
let told: string[];
let head: Head;
let heads: Set<(seen: Head) => void>;
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
  watchdog = createWatchdog({ graceMs: 200 });
  told = [];
  watchdog.onStall((_, { loop }) => told.push(loop));
  head = { number: 1n, hash: "0x1", timestamp: chainTime(1_000n), baseFeePerGas: undefined };
  heads = new Set();
});
afterEach(async () => {
  stop.abort();
  await database.close();
  await drop();
});

function dispatching(evaluate: (id: TaskId, signal: AbortSignal) => Promise<void>) {
  const dispatcher = createDispatcher({
    database,
    pool: {
      head: () => head,
      onHead(listener) {
        heads.add(listener);
        return () => heads.delete(listener);
      },
    },
    clock: systemClock,
    watchdog,
    decisionBoundMs: 400,
    evaluate,
    onError: (thrown) => told.push(CodedError.from(thrown).code),
    signal: stop.signal,
  });
  const running = watchdog.keep({ loop: "dispatcher", boundMs: 60_000, signal: stop.signal }, dispatcher.run);
  return { dispatcher, running };
}
const until = async (what: () => boolean): Promise<void> => {
  while (!what()) await systemClock.sleep(10);
};

test("twelve decisions that never return are told, and do not keep the others from being decided; theirs are made again", async () => {
  const ids = await writeTasks(database, 20);
  const decided = new Set<TaskId>();
  const hung = new Map<TaskId, AbortSignal>();
  const { dispatcher } = dispatching(async (id, signal) => {
    if (hung.size < 12 && !hung.has(id)) {
      hung.set(id, signal);
      await new Promise<never>(() => undefined);
    }
    decided.add(id);
    await database.run("UPDATE tasks SET wake_wall = NULL WHERE id = $1", [id]);
  });
  await dispatcher.sweep();
  await until(() => decided.size === 20);
  expect(new Set(ids)).toEqual(decided);
  expect([...hung.values()].every((signal) => signal.aborted)).toBe(true);
  expect(told.filter((each) => each === "decision")).toHaveLength(12);
  expect(told.filter((each) => each === "SCH-1403")).toHaveLength(12);
  expect(watchdog.stalls().filter(({ mendedAt }) => mendedAt === undefined)).toEqual([]);
});

test("what a decision that was given up still writes is refused", async () => {
  const [id = "0x"] = await writeTasks(database, 1);
  const late = Promise.withResolvers<void>();
  const wrote = Promise.withResolvers<string>();
  let runs = 0;
  const { dispatcher } = dispatching(async (task, signal) => {
    runs += 1;
    const first = runs === 1;
    const status = first ? "LATE" : "DECIDED";
    if (first) await late.promise;
    const writing = database.transaction(
      (sql) => sql.run("UPDATE tasks SET status = $2, wake_wall = NULL WHERE id = $1", [task, status]),
      signal,
    );
    if (first) {
      wrote.resolve(
        await writing.then(
          () => "written",
          (thrown: unknown) => CodedError.from(thrown).code,
        ),
      );
    }
    await writing;
  });
  dispatcher.wake(id);
  await until(() => runs === 2);
  late.resolve();
  expect(await wrote.promise).toBe("SVC-1503");
  await until(() => runs >= 2);
  await dispatcher.settled();
  expect(await database.numbers("SELECT count(*) AS value FROM tasks WHERE status = 'DECIDED'", [])).toEqual([1]);
});

test("a deadline in chain time is seen when its block comes, also while another decision hangs", async () => {
  const [first = "0x", second = "0x"] = await writeTasks(database, 2);
  await database.run("UPDATE tasks SET wake_chain = 2000 WHERE id = $1", [second]);
  const seen: TaskId[] = [];
  const { dispatcher } = dispatching(async (id) => {
    if (id === first) await new Promise<never>(() => undefined);
    await database.run("UPDATE tasks SET wake_chain = NULL WHERE id = $1", [id]);
    seen.push(id);
  });
  dispatcher.wake(first);
  await systemClock.sleep(100);
  expect(seen).toEqual([]);
  head = { ...head, number: 2n, hash: "0x2", timestamp: chainTime(2_000n) };
  for (const hear of heads) hear(head);
  await until(() => seen.length > 0);
  expect(seen[0]).toBe(second);
  expect(told).toEqual([]);
});

test("it ends with its signal although a decision hangs", async () => {
  const [id = "0x"] = await writeTasks(database, 1);
  const { dispatcher, running } = dispatching(() => new Promise<never>(() => undefined));
  dispatcher.wake(id);
  await systemClock.sleep(20);
  stop.abort();
  await running;
  await dispatcher.settled();
  expect(heads.size).toBe(0);
});
