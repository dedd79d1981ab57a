import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CodedError, loadConfig, silentLogger, systemClock } from "@iexec-ts/service";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { workerConfig } from "../config.ts";
import { Journal } from "../replicate/journal.ts";
import { controlActions } from "./actions.ts";
import { askWorker } from "./client.ts";
import type { Desk } from "./desk.ts";
import { liveSettings } from "./live-settings.ts";
import { Operation, readPause } from "./operation.ts";
import { type ControlServer, serveControl } from "./server.ts";
import { checkWanted, writeSettings } from "./settings-file.ts";
import { socketPath } from "./wire.ts";

const worker = `0x${"a1".repeat(20)}` as const;
const taskId = `0x${"11".repeat(32)}` as const;
const HASH = `0x${"22".repeat(32)}` as const;
const signal = new AbortController().signal;

let dir: string;
let journal: Journal;
let operation: Operation;
let server: ControlServer | undefined;
let stops: string[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "iexec-control-"));
  journal = new Journal(join(dir, "journal.sqlite"), worker, () => new Date());
  operation = new Operation(journal.db, systemClock);
  stops = [];
  await writeFile(join(dir, "config.json"), "{}");
});
afterEach(async () => {
  operation.close();
  await server?.close();
  server = undefined;
  journal.shut();
  await rm(dir, { recursive: true, force: true });
});

const settingsAt = (env: Readonly<Record<string, string>> = {}) => {
  const path = join(dir, "config.json");
  const read = () => loadConfig(workerConfig, { argv: [], env: { IEXEC_WORKER_WALLET_PASSWORD: "x", ...env }, file: path });
  return liveSettings(read(), read, path, silentLogger);
};

async function open(env: Readonly<Record<string, string>> = {}): Promise<string> {
  const desk: Desk = {
    worker,
    journal,
    operation,
    live: settingsAt(env),
    clock: systemClock,
    log: silentLogger,
    stop: (how) => {
      stops.push(how);
      // The process ends: its connections end with it.
      void server?.close();
    },
    refusal: () => undefined,
    standing: () => ({ stalls: [], stuck: [] }),
    joined: true,
    work: undefined,
  };
  const path = socketPath(dir, worker);
  server = await serveControl(path, controlActions(desk), silentLogger);
  return path;
}

function openTask(): void {
  journal.open({
    authorization: {
      workerWallet: worker,
      chainTaskId: taskId,
      enclaveChallenge: `0x${"0".repeat(40)}`,
      dealId: taskId,
      taskIndex: 0,
      signature: { value: `0x${"3".repeat(130)}` },
    },
    smsUrl: undefined,
    stake: 5n,
    finalDeadline: 9n,
  });
}
const record = (...statuses: readonly Parameters<Journal["record"]>[1][]) => {
  for (const status of statuses) journal.record(taskId, status);
};
const contribute = () =>
  journal.registerContribution({ taskId, worker, digest: HASH, resultHash: HASH, resultSeal: HASH, callbackData: undefined });
const TO_REVEALED = [
  "RUNNING",
  "APP_DOWNLOADING",
  "APP_DOWNLOADED",
  "DATA_DOWNLOADING",
  "DATA_DOWNLOADED",
  "COMPUTING",
  "COMPUTED",
  "CAN_CONTRIBUTE",
  "CONTRIBUTING",
  "CONTRIBUTED",
  "REVEALING",
  "REVEALED",
] as const;

describe("the socket", () => {
  test("only its owner may open it, and it is gone afterwards", async () => {
    const path = await open();
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await server?.close();
    server = undefined;
    await expect(stat(path)).rejects.toThrow();
    expect(await askWorker(path, "state", {}, { signal })).toMatchObject({ kind: "nobody" });
  });

  test("a leftover of a worker that was killed is no obstacle", async () => {
    await writeFile(socketPath(dir, worker), "");
    const path = await open();
    expect(await askWorker(path, "state", {}, { signal })).toMatchObject({ kind: "done", facts: { state: "RUNNING" } });
  });

  test("a path that no socket can have is refused with its cause", async () => {
    await expect(serveControl(join(dir, "x".repeat(120)), {}, silentLogger)).rejects.toMatchObject({ code: "WRK-1514" });
  });

  test("what is not known, and what is not understood, is told", async () => {
    const path = await open();
    await expect(askWorker(path, "explode", {}, { signal })).rejects.toMatchObject({ code: "WRK-1518" });
    await expect(askWorker(path, "toString", {}, { signal })).rejects.toMatchObject({ code: "WRK-1518" });
    await expect(askWorker(path, "task-abort", { taskId: "7" }, { signal })).rejects.toMatchObject({ code: "WRK-1518" });
    await expect(askWorker(path, "tx-bump", { id: "x" }, { signal })).rejects.toMatchObject({ code: "WRK-1517" });
  });
});

describe("pause and resume", () => {
  test("a pause outlives the worker, and resume ends it", async () => {
    const path = await open();
    expect(operation.refusal()).toBeUndefined();
    expect(await askWorker(path, "pause", {}, { signal })).toMatchObject({
      facts: { before: "RUNNING", state: "PAUSED", pausedUntil: null },
    });
    expect(operation.refusal()?.code).toBe("WRK-1510");
    const again = new Operation(journal.db, systemClock);
    expect(again.state).toBe("PAUSED");
    again.close();
    expect(await askWorker(path, "resume", {}, { signal })).toMatchObject({ facts: { before: "PAUSED", state: "RUNNING" } });
    expect(readPause(journal.db, new Date())).toBeUndefined();
  });

  test("a pause for a time ends by itself, and tells", async () => {
    const over = new Promise<void>((resolve) => operation.onChange(() => (operation.state === "RUNNING" ? resolve() : undefined)));
    operation.pauseUntil(new Date(Date.now() + 30));
    expect(operation.state).toBe("PAUSED");
    await over;
    expect(operation.refusal()).toBeUndefined();
  });
});

describe("stop", () => {
  test("an orderly stop names what goes on later", async () => {
    openTask();
    const path = await open();
    const told: unknown[] = [];
    const answer = await askWorker(path, "stop", {}, { signal, tell: (facts) => told.push(facts) });
    expect(answer.kind).toBe("gone");
    expect(told).toMatchObject([{ state: "STOPPED", left: [{ taskId, status: "CREATED" }] }]);
    expect(stops).toEqual(["orderly"]);
  });

  test("a drain waits for the upload and asks for nothing meanwhile", async () => {
    openTask();
    record(...TO_REVEALED);
    const path = await open();
    const told: { state?: unknown }[] = [];
    const { promise: draining, resolve } = Promise.withResolvers<void>();
    const answer = askWorker(
      path,
      "stop",
      { drain: true },
      {
        signal,
        tell: (facts) => {
          told.push(facts);
          resolve();
        },
      },
    );
    await draining;
    expect(operation.refusal()?.code).toBe("WRK-1511");
    expect(stops).toEqual([]);
    record("RESULT_UPLOAD_REQUESTED", "RESULT_UPLOADING", "RESULT_UPLOADED");
    expect((await answer).kind).toBe("gone");
    expect(told.at(-1)).toMatchObject({ state: "DRAINED", left: [], timedOut: false });
    expect(stops).toEqual(["orderly"]);
  });

  test("a drain whose time is over stops anyway", async () => {
    openTask();
    const path = await open();
    const told: unknown[] = [];
    await askWorker(path, "stop", { drain: true, timeoutMs: 20 }, { signal, tell: (facts) => told.push(facts) });
    expect(told.at(-1)).toMatchObject({ state: "STOPPED", timedOut: true, left: [{ taskId }] });
    expect(stops).toEqual(["orderly"]);
  });

  test("resume takes a drain back", async () => {
    openTask();
    const path = await open();
    const { promise: draining, resolve } = Promise.withResolvers<void>();
    const answer = askWorker(path, "stop", { drain: true }, { signal, tell: () => resolve() });
    await draining;
    operation.resume();
    expect(await answer).toMatchObject({ kind: "done", facts: { stopped: false, state: "RUNNING" } });
    expect(stops).toEqual([]);
  });
});

describe("tasks", () => {
  test("giving up is free until something is contributed", async () => {
    openTask();
    const path = await open();
    expect(await askWorker(path, "task-abort", { taskId }, { signal })).toMatchObject({ facts: { loss: null } });
    expect(journal.get(taskId).abort).toBe("OPERATOR");
    contribute();
    await expect(askWorker(path, "task-abort", { taskId }, { signal })).rejects.toMatchObject({ code: "WRK-1521" });
    expect(await askWorker(path, "task-abort", { taskId, force: true }, { signal })).toMatchObject({ kind: "done" });
    expect(journal.get(taskId).abort).toBe("OPERATOR_FORCED");
  });

  test("an upload is tried again only between reveal and upload", async () => {
    openTask();
    const path = await open();
    const ask = () => askWorker(path, "task-retry-upload", { taskId }, { signal });
    await expect(ask()).rejects.toMatchObject({ code: "WRK-1522" });
    record(...TO_REVEALED);
    expect(await ask()).toMatchObject({ facts: { status: "REVEALED" } });
    expect(journal.get(taskId).uploadRequested).toBe(true);
    record("RESULT_UPLOAD_REQUESTED", "RESULT_UPLOADING", "RESULT_UPLOADED");
    await expect(ask()).rejects.toMatchObject({ code: "WRK-1522" });
  });
});

describe("live settings", () => {
  test("a change of the file counts at once where it may, and is told otherwise", async () => {
    const live = settingsAt();
    const seen: unknown[] = [];
    live.onChange((changes) => seen.push(...changes));
    await writeFile(join(dir, "config.json"), JSON.stringify({ hours: "never", name: "other", minPrice: 7 }));
    live.reload();
    expect(live.current.hours.isOpen(new Date())).toBe(false);
    expect(live.current.minPrice).toBe(7n);
    expect(live.current.name).toBe("worker");
    expect(seen).toEqual(
      expect.arrayContaining([
        { key: "hours", from: "always", to: "never", live: true },
        { key: "name", from: "worker", to: "other", live: false },
      ]),
    );
    expect(live.reload()).toEqual([]);
  });

  test("a file with a fault changes nothing", async () => {
    const live = settingsAt();
    await writeFile(join(dir, "config.json"), JSON.stringify({ hours: "sometimes" }));
    expect(() => live.reload()).toThrow(expect.objectContaining({ code: "SVC-1101" }));
    expect(String(live.current.hours)).toBe("always");
  });

  test("a command writes the file, keeps the rest of it, and the worker follows", async () => {
    await writeFile(join(dir, "config.json"), JSON.stringify({ name: "mine" }));
    const path = await open();
    const answer = await askWorker(path, "config-set", { values: { maxLoad: "50" } }, { signal });
    expect(answer).toMatchObject({ facts: { changes: [{ key: "maxLoad", from: "100", to: "50", live: true }] } });
    expect(JSON.parse(await readFile(join(dir, "config.json"), "utf8"))).toEqual({ name: "mine", maxLoad: "50" });
    await askWorker(path, "config-set", { values: { maxLoad: null } }, { signal });
    expect(JSON.parse(await readFile(join(dir, "config.json"), "utf8"))).toEqual({ name: "mine" });
  });

  test("what a command cannot change is refused with its cause", async () => {
    const path = await open({ IEXEC_WORKER_MAX_LOAD: "70" });
    const set = (values: Record<string, string>) => askWorker(path, "config-set", { values }, { signal });
    await expect(set({ maxLoad: "50" })).rejects.toMatchObject({ code: "WRK-1540" });
    await expect(set({ name: "other" })).rejects.toMatchObject({ code: "WRK-1542" });
    await expect(set({ hours: "sometimes" })).rejects.toMatchObject({ code: "WRK-2012" });
    await expect(set({ nothing: "1" })).rejects.toMatchObject({ code: "SVC-1103" });
    await writeFile(join(dir, "broken.json"), "[");
    expect(() => writeSettings(join(dir, "broken.json"), { maxLoad: "1" })).toThrow(expect.objectContaining({ code: "WRK-1541" }));
    expect(() =>
      checkWanted(
        {},
        () => {
          throw new CodedError("SVC-1103");
        },
        "x",
      ),
    ).not.toThrow();
  });
});
