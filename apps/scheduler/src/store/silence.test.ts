import { CodedError, createWatchdog, hasCode, systemClock } from "@iexec-ts/service";
import { type PostgresServer, startPostgres } from "@iexec-ts/testkit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { fastClock } from "../test/fast-clock.ts";
import { type MuteRelay, startMuteRelay } from "../test/mute-relay.ts";
import { type Database, openDatabase } from "./database.ts";
import { beginEpoch, fenced } from "./fence.ts";
import { type Lead, lead } from "./leader.ts";
import { migrate } from "./migrate.ts";
import { listen, signal } from "./signals.ts";

/** A server behind a network that can fall silent. */
let postgres: PostgresServer;
let relay: MuteRelay;
/** By way of the relay. */
let through: Database;
let direct: Database;
let drop: () => Promise<void>;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(async () => {
  await postgres.stop();
});
beforeEach(async () => {
  const made = await postgres.createDatabase();
  drop = made.drop;
  relay = await startMuteRelay(made.url);
  through = await openDatabase(relay.url, { connections: 2, limits: { answerMs: 300, connectMs: 2_000 } });
  direct = await openDatabase(made.url, { connections: 4, limits: { lockMs: 500, transactionMs: 1_000 } });
  await migrate(direct);
  await direct.run("CREATE TABLE counters (n integer)");
  await direct.run("INSERT INTO counters VALUES (0)");
});
afterEach(async () => {
  await Promise.all([through.close(), direct.close()]);
  await relay.close();
  await drop();
});

const counted = async (): Promise<number | undefined> => (await direct.numbers("SELECT n AS value FROM counters", []))[0];
const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "done",
    (thrown: unknown) => CodedError.from(thrown).code,
  );

describe("what is asked of Postgres ends", () => {
  test("also when the other end has vanished without a word; the next question has a new connection", async () => {
    await through.run("SELECT 1");
    relay.mute();
    expect(await codeOf(through.run("SELECT 1"))).toBe("SCH-1101");
    expect(await codeOf(through.run("SELECT 1"))).toBe("done");
  });

  test("and a close does not wait for what never comes", async () => {
    const asked = codeOf(through.transaction((sql) => sql.run("SELECT pg_sleep(60)")));
    const begun = through.transaction(async (sql) => {
      await sql.run("UPDATE counters SET n = n + 1");
      relay.mute();
      return await new Promise<never>(() => undefined);
    });
    begun.catch(() => undefined);
    await through.close();
    expect(await asked).toBe("SCH-1101");
  });

  test("also when somebody else holds the lock", async () => {
    const release = Promise.withResolvers<void>();
    const locked = Promise.withResolvers<void>();
    const holder = direct.transaction(async (sql) => {
      await sql.run("UPDATE counters SET n = n + 1");
      locked.resolve();
      await release.promise;
    });
    await locked.promise;
    expect(await codeOf(direct.run("UPDATE counters SET n = n + 1"))).toBe("SCH-1104");
    release.resolve();
    await holder;
    expect(await counted()).toBe(1);
  });

  test("a transaction that stands still is ended, commits nothing and holds nothing", async () => {
    const late = Promise.withResolvers<void>();
    let afterwards = "";
    const hung = codeOf(
      direct.transaction(async (sql) => {
        await sql.run("UPDATE counters SET n = 100");
        await late.promise;
        afterwards = await codeOf(sql.run("UPDATE counters SET n = 200"));
      }),
    );
    expect(await hung).toBe("SCH-1104");
    expect(await codeOf(direct.run("UPDATE counters SET n = n + 1"))).toBe("done");
    late.resolve();
    await systemClock.sleep(0);
    expect([afterwards, await counted()]).toEqual(["SCH-1104", 1]);
  });

  test("a transaction is refused from the moment on in which it was given up, its commit too", async () => {
    const given = new AbortController();
    const work = codeOf(
      direct.transaction(async (sql) => {
        await sql.run("UPDATE counters SET n = 100");
        given.abort(new CodedError("SVC-1503", { loop: "decision" }));
      }, given.signal),
    );
    expect([await work, await counted()]).toEqual(["SVC-1503", 0]);
  });

  test("an idle connection that the server ends inside a transaction does not end the process", async () => {
    const failed = codeOf(
      direct.transaction(async (sql) => {
        const [pid = 0] = await sql.numbers("SELECT pg_backend_pid() AS value", []);
        await through.run("SELECT pg_terminate_backend($1)", [pid]);
        await systemClock.sleep(100);
        await sql.run("SELECT 1");
      }),
    );
    expect(await failed).toBe("SCH-1101");
  });
});

test("signals are heard again, and the gap told, when the connection falls silent without ending", async () => {
  const clock = fastClock(50);
  const signals = await listen(through, { clock, nextDelay: () => 0, watchdog: createWatchdog() });
  const gap = Promise.withResolvers<void>();
  const heard = Promise.withResolvers<string>();
  signals.onGap(gap.resolve);
  signals.on("demand", heard.resolve);
  relay.mute();
  await gap.promise;
  await signal(direct, "demand", "again");
  expect(await heard.promise).toBe("again");
  await signals.close();
});

describe("the lead", () => {
  test("of two that believe to have it only the younger one can write", async () => {
    const [first, second] = [await beginEpoch(direct), await beginEpoch(direct)];
    const older = fenced(direct, first);
    expect(await codeOf(older.run("UPDATE counters SET n = 100"))).toBe("SCH-1105");
    expect(await codeOf(older.transaction((sql) => sql.run("UPDATE counters SET n = 100")))).toBe("SCH-1105");
    expect(await codeOf(fenced(direct, second).run("UPDATE counters SET n = n + 1"))).toBe("done");
    expect(await counted()).toBe(1);
  });

  test("a term begins only when what the one before was committing is committed", async () => {
    const older = fenced(direct, await beginEpoch(direct));
    const order: string[] = [];
    const writing = Promise.withResolvers<void>();
    const committing = older.transaction(async (sql) => {
      await sql.run("UPDATE counters SET n = n + 1");
      writing.resolve();
      await systemClock.sleep(200);
      order.push("commit");
    });
    await writing.promise;
    await beginEpoch(direct).then(() => order.push("begin"));
    await committing;
    expect(order).toEqual(["commit", "begin"]);
  });

  test("is taken from a holder whose connection has vanished, and what that one still writes is refused", async () => {
    const terms: Lead[] = [];
    const began = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
    const contend = (database: Database) => {
      const stop = new AbortController();
      const done = lead(
        database,
        async (held) => {
          terms.push(held);
          began[terms.length === 1 ? 0 : 1].resolve();
          await new Promise<void>((resolve) => held.signal.addEventListener("abort", () => resolve(), { once: true }));
        },
        {
          signal: stop.signal,
          clock: fastClock(50),
          retryMs: () => 500,
          onError: () => undefined,
          watchdog: createWatchdog(),
          silentMs: 600,
        },
      );
      return async () => {
        stop.abort();
        await done;
      };
    };
    const endFirst = contend(through);
    await began[0].promise;
    const endSecond = contend(direct);
    relay.mute();
    await began[1].promise;
    expect(await codeOf(terms[0]?.database.run("UPDATE counters SET n = 100") ?? Promise.resolve())).not.toBe("done");
    expect(await codeOf(fenced(direct, 1n).run("UPDATE counters SET n = 100"))).toBe("SCH-1105");
    expect(await codeOf(terms.at(-1)?.database.run("UPDATE counters SET n = n + 1") ?? Promise.resolve())).toBe("done");
    await Promise.all([endFirst(), endSecond()]);
    expect(terms[0]?.signal.aborted).toBe(true);
    expect(await counted()).toBe(1);
  });

  test("ends in time although what it does never ends, and another term begins", async () => {
    const stop = new AbortController();
    let terms = 0;
    const again = Promise.withResolvers<void>();
    const done = lead(
      direct,
      async () => {
        terms += 1;
        if (terms === 2) again.resolve();
        await new Promise<never>(() => undefined);
      },
      { signal: stop.signal, clock: fastClock(50), retryMs: () => 0, onError: (thrown) => expect(hasCode(thrown, "SCH-1101")).toBe(true) },
    );
    while (terms === 0) await systemClock.sleep(20);
    await direct.run("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()");
    await again.promise;
    stop.abort();
    await done;
  });
});
