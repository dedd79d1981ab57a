import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type PostgresServer, startPostgres } from "../index.ts";

const OWN = { databaseUrl: "" };

async function ask(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

describe("startPostgres", () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await startPostgres(OWN);
  });
  afterAll(() => server.stop());

  test("gives each test a database of its own, and takes it away", async () => {
    const [first, second] = await Promise.all([server.createDatabase(), server.createDatabase()]);
    await ask(first.url, "create table t (n int)");
    expect(await ask(second.url, "select 1 from pg_tables where tablename = 't'")).toEqual([]);
    await first.drop();
    expect(await ask(server.url, `select 1 from pg_database where datname = '${first.name}'`)).toEqual([]);
    await second.drop();
  });

  test("a named database is found again", async () => {
    const first = await server.createDatabase("scheduler");
    await ask(first.url, "create table kept (n int)");
    const again = await server.createDatabase("scheduler");
    expect(await ask(again.url, "select 1 as n from pg_tables where tablename = 'kept'")).toEqual([{ n: 1 }]);
  });

  test("a server that runs already is used and left alone", async () => {
    const outside = await startPostgres({ databaseUrl: server.url });
    const database = await outside.createDatabase();
    expect(outside.pid).toBeUndefined();
    await outside.stop();
    expect(await ask(database.url, "select 1 as n")).toEqual([{ n: 1 }]);
  });

  test("refuses a wrong password with NET-1102", async () => {
    const url = new URL(server.url);
    url.password = "wrong";
    const outside = await startPostgres({ databaseUrl: url.href });
    await expect(outside.createDatabase()).rejects.toMatchObject({ code: "NET-1102" });
  });
});

test("a folder keeps its data over a restart; a taken port is NET-1001", async () => {
  const dir = await mkdtemp(join(tmpdir(), "iexec-pg-kept-"));
  try {
    const first = await startPostgres({ ...OWN, dir });
    const { url } = await first.createDatabase("kept");
    await ask(url, "create table t as select 7 as n");
    const port = Number(new URL(first.url).port);
    const other = await mkdtemp(join(tmpdir(), "iexec-pg-other-"));
    await expect(startPostgres({ ...OWN, dir: other, port })).rejects.toMatchObject({ code: "NET-1001" });
    await rm(other, { recursive: true, force: true });
    await first.stop();

    const second = await startPostgres({ ...OWN, dir });
    expect(await ask((await second.createDatabase("kept")).url, "select n from t")).toEqual([{ n: 7 }]);
    await second.stop();
    expect(existsSync(dir)).toBe(true);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
