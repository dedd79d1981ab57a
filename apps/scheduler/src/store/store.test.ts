import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { outboxConformance } from "@iexec-ts/chain";
import { hasCode, systemClock } from "@iexec-ts/service";
import { type PostgresServer, startPostgres } from "@iexec-ts/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { type Database, openDatabase } from "./database.ts";
import { startEmbeddedPostgres } from "./embedded.ts";
import { lead } from "./leader.ts";
import { migrate } from "./migrate.ts";
import { postgresOutbox } from "./outbox.ts";
import { listen, signal } from "./signals.ts";

let postgres: PostgresServer;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(async () => {
  await postgres.stop();
});

async function fresh(): Promise<{ readonly database: Database; readonly url: string; drop(): Promise<void> }> {
  const { url, drop } = await postgres.createDatabase();
  const database = await openDatabase(url, { connections: 4 });
  return {
    database,
    url,
    async drop() {
      await database.close();
      await drop();
    },
  };
}

describe("the transaction outbox", () => {
  outboxConformance({ test, expect }, async () => {
    const { database, url, drop } = await fresh();
    await migrate(database);
    const others: Database[] = [];
    return {
      store: postgresOutbox(database),
      reopenStore: async () => {
        const other = await openDatabase(url, { connections: 2 });
        others.push(other);
        return postgresOutbox(other);
      },
      close: async () => {
        await Promise.all(others.map((other) => other.close()));
        await drop();
      },
    };
  });
});

describe("the schema", () => {
  test("is made once, however many processes start together", async () => {
    const { database, drop } = await fresh();
    const applied = await Promise.all([migrate(database), migrate(database), migrate(database)]);
    expect(applied.flat().sort()).toEqual(["core", "leadership", "outbox"]);
    expect(await database.numbers("SELECT count(*) AS value FROM migrations", [])).toEqual([3]);
    await drop();
  });

  test("a database that cannot be reached has its own code, and the password is not in it", async () => {
    const thrown: unknown = await openDatabase("postgres://iexec:secret@127.0.0.1:1/none", { connections: 1 }).catch(
      (error: unknown) => error,
    );
    expect(hasCode(thrown, "SCH-1101")).toBe(true);
    expect(String(thrown)).not.toContain("secret");
  });
});

describe("signals", () => {
  test("arrive when the transaction commits, and not when it does not", async () => {
    const { database, drop } = await fresh();
    const signals = await listen(database, { clock: systemClock, nextDelay: () => 0 });
    const heard: string[] = [];
    const arrived = Promise.withResolvers<void>();
    signals.on("task", (text) => {
      heard.push(text);
      if (text === "last") arrived.resolve();
    });
    await database
      .transaction(async (sql) => {
        await signal(sql, "task", "never");
        throw new Error("rolled back");
      })
      .catch(() => undefined);
    await database.transaction((sql) => signal(sql, "task", "first"));
    await signal(database, "task", "last");
    await arrived.promise;
    expect(heard).toEqual(["first", "last"]);
    await signals.close();
    await drop();
  });

  test("a lost connection is found again and the gap is told", async () => {
    const { database, drop } = await fresh();
    const signals = await listen(database, { clock: systemClock, nextDelay: () => 0 });
    const gap = Promise.withResolvers<void>();
    signals.onGap(gap.resolve);
    const heard = Promise.withResolvers<string>();
    signals.on("demand", heard.resolve);
    await database.run(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database() AND query LIKE '%LISTEN%'",
    );
    await gap.promise;
    await signal(database, "demand", "again");
    expect(await heard.promise).toBe("again");
    await signals.close();
    await drop();
  });
});

describe("leadership", () => {
  test("belongs to one, passes on when it ends, and ends with its connection", async () => {
    const { database, drop } = await fresh();
    await migrate(database);
    const leaders: string[] = [];
    const contender = (name: string) => {
      const stop = new AbortController();
      const began = Promise.withResolvers<AbortSignal>();
      const done = lead(
        database,
        async ({ signal: term }) => {
          leaders.push(name);
          began.resolve(term);
          await new Promise<void>((resolve) => term.addEventListener("abort", () => resolve(), { once: true }));
        },
        { signal: stop.signal, clock: systemClock, retryMs: () => 200, onError: (thrown) => expect.fail(String(thrown)) },
      );
      return { began: began.promise, done, stop: () => stop.abort() };
    };
    const first = contender("first");
    const term = await first.began;
    const second = contender("second");
    await database.run("SELECT pg_sleep(0.2)");
    expect(leaders).toEqual(["first"]);
    await database.run(
      "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()",
    );
    await second.began;
    expect(term.aborted).toBe(true);
    first.stop();
    second.stop();
    await Promise.all([first.done, second.done]);
    await drop();
  });
});

describe("the embedded server", () => {
  test("keeps its data over a restart, and adopts what a killed predecessor left running", async () => {
    const directory = await mkdtemp(join(tmpdir(), "iexec-embedded-"));
    try {
      const first = await startEmbeddedPostgres(directory, systemClock);
      const database = await openDatabase(first.url, { connections: 2 });
      await database.run("CREATE TABLE kept (n integer)");
      await database.run("INSERT INTO kept VALUES (7)");
      await database.close();
      expect((await stat(join(directory, "password"))).mode & 0o777).toBe(0o600);
      // The first is still running, as after a SIGKILL of its scheduler.
      const adopted = await startEmbeddedPostgres(directory, systemClock);
      expect(adopted.url).toBe(first.url);
      await adopted.stop();
      const again = await startEmbeddedPostgres(directory, systemClock);
      const reopened = await openDatabase(again.url, { connections: 2 });
      expect(await reopened.row("SELECT n FROM kept", [], z.object({ n: z.number() }))).toEqual({ n: 7 });
      await reopened.close();
      await again.stop();
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
