import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type Clock, CodedError, createWatchdog, systemClock } from "@iexec-ts/service";
import { HandClock } from "@iexec-ts/testkit";
import { afterEach, expect, test } from "vitest";
import { LABELS, type RunSpec, type Sandbox } from "./api.ts";
import { createDockerSandbox } from "./docker-sandbox.ts";
import { createEngine, type Engine } from "./engine.ts";
import { follow } from "./follow.ts";
import type { DockerSandboxOptions } from "./options.ts";
import { CONTAINER_ID, containerIn, json, type Script, scriptedEngine } from "./test/scripted-engine.ts";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

/** Waits shrink to a two-hundredth, so that half a minute passes in a test. */
const quick = { ...systemClock, sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(ms / 200, signal) };
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const codeOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => "no error",
    (thrown: unknown) => (thrown instanceof CodedError ? thrown.code : thrown),
  );

async function engineOf(script: Script) {
  const engine = await scriptedEngine(script);
  ends.push(engine.close);
  return engine;
}

async function sandboxOn(script: Script, options: DockerSandboxOptions = {}, clock: Clock = quick): Promise<Sandbox> {
  const { socketPath } = await engineOf(script);
  const sandbox = createDockerSandbox({ socketPath, ...options }, { clock });
  ends.push(() => sandbox.close());
  return sandbox;
}

const specOf = (): RunSpec => ({
  name: `stall-${randomBytes(4).toString("hex")}`,
  image: "apps/stall:1",
  args: undefined,
  env: {},
  labels: { [LABELS.worker]: "stall" },
  mounts: [],
  limits: { memoryBytes: 64 * 1024 ** 2, cpus: 1, pids: 64, tmpBytes: 1024 ** 2, outputBytes: 1024 ** 2, logBytes: 1024 },
  network: "none",
  deadline: new Date(Date.now() + 60_000),
});

/** Whether a request looks at the container, and not at the name it will get. */
const looks = (path: string): boolean => path === `/containers/${CONTAINER_ID}/json`;

test("a dead connection that waits for the end does not hide the end", async () => {
  let waits = 0;
  let looked = 0;
  const sandbox = await sandboxOn((_request, response, path) => {
    if (path.endsWith("/wait")) {
      waits += 1;
      response.writeHead(200, { "content-type": "application/json" }).flushHeaders();
      return true;
    }
    if (!looks(path)) return false;
    looked += 1;
    json(response, containerIn(looked < 3 ? "running" : "exited"));
    return true;
  });
  const running = await sandbox.run(specOf());
  let signs = 0;
  const onAlive = (): void => {
    signs += 1;
  };
  expect(await running.wait(undefined, onAlive)).toMatchObject({ exitCode: 0 });
  expect(waits).toBe(2);
  expect(signs).toBeGreaterThanOrEqual(2);
});

test("an engine that takes the question for the end and never answers it does not hide the end", async () => {
  let looked = 0;
  const sandbox = await sandboxOn((_request, response, path) => {
    if (path.endsWith("/wait")) return true;
    if (!looks(path)) return false;
    looked += 1;
    json(response, containerIn(looked < 2 ? "running" : "exited"));
    return true;
  });
  expect(await (await sandbox.run(specOf())).wait()).toMatchObject({ exitCode: 0 });
});

test("a log that stalls in its middle is read again", async () => {
  let reads = 0;
  const sandbox = await sandboxOn(
    (_request, response, path) => {
      if (looks(path)) json(response, containerIn("exited"));
      else if (path.endsWith("/logs")) {
        reads += 1;
        response.writeHead(200);
        response.write(Buffer.from([1, 0, 0, 0, 0, 0, 0, 3]));
        if (reads > 1) response.end("ok\n");
      } else return false;
      return true;
    },
    { callTimeoutMs: 300 },
    systemClock,
  );
  expect(await (await sandbox.run(specOf())).wait()).toMatchObject({ stdout: { text: "ok\n" } });
  expect(reads).toBe(2);
});

test("a pull that stalls in its middle ends", async () => {
  const sandbox = await sandboxOn(
    (_request, response, path) => {
      if (path !== "/images/create") return false;
      response.writeHead(200);
      response.write('{"status":"Pulling fs layer"}\n');
      return true;
    },
    { pullSilenceMs: 200 },
  );
  let signs = 0;
  const onAlive = (): void => {
    signs += 1;
  };
  expect(await codeOf(sandbox.pull("apps/stall:1", { timeoutMs: 3_600_000, onAlive }))).toBe("SBX-1001");
  expect(signs).toBeGreaterThanOrEqual(1);
});

test("who gives up asking what the engine is does not disturb the others", async () => {
  const answers: (() => void)[] = [];
  const sandbox = await sandboxOn((_request, response, path) => {
    if (path !== "/version") return false;
    answers.push(() => json(response, { Version: "27.0.0", ApiVersion: "1.46" }));
    return true;
  });
  const abort = new AbortController();
  const first = codeOf(sandbox.run(specOf(), abort.signal));
  const second = codeOf(sandbox.pull("apps/stall:1", { timeoutMs: 1_000 }));
  while (answers.length === 0) await delay(5);
  abort.abort("enough");
  expect(await first).toBe("enough");
  for (const answer of answers) answer();
  // This engine has no pull, but it was asked for one.
  expect(await second).not.toBe("enough");
});

test("a stop is not held by an engine that hangs", async () => {
  const sandbox = await sandboxOn((_request, _response, path) => looks(path));
  const running = await sandbox.run(specOf());
  const waiting = codeOf(running.wait());
  await sandbox.close();
  expect(await waiting).toBe("SBX-1006");
});

test("a look at the engine that hangs is told within its bound, and another look finds the end", async () => {
  const clock = new HandClock();
  const watchdog = createWatchdog({ clock });
  const codes: string[] = [];
  watchdog.onStall(({ code }) => codes.push(code));
  let looked = 0;
  const engine: Engine = {
    json: async (_request, schema) => {
      looked += 1;
      // It hears no signal either.
      if (looked === 1) await new Promise(() => undefined);
      return schema.parse(containerIn("exited"));
    },
    send: async () => undefined,
    stream: () => new Promise(() => undefined),
  };
  const closing = new AbortController();
  ends.push(() => closing.abort());
  const log = { text: "", bytes: 0, truncated: false };
  const running = follow({
    run: {
      id: CONTAINER_ID,
      name: "app",
      deadline: new Date(3_600_000),
      adopted: false,
      wasRunning: true,
      exceeded: () => new Promise(() => undefined),
    },
    ports: { engine, clock, random: () => 0, logger: { info: () => undefined, warn: () => undefined } },
    watchdog,
    closing: closing.signal,
    collect: async ({ state, timedOut }) => ({
      exitCode: state.ExitCode,
      oomKilled: false,
      timedOut,
      outputExceeded: false,
      startedAt: new Date(0),
      finishedAt: new Date(0),
      stdout: log,
      stderr: log,
    }),
    kill: async () => undefined,
    remove: async () => undefined,
  });
  await clock.pass(299_999);
  expect(codes).toEqual([]);
  await clock.pass(1);
  expect(codes).toEqual(["SVC-1501"]);
  expect(await running.wait()).toMatchObject({ exitCode: 0, timedOut: false });
});

test("an abort after forced collections ends a wait for the engine, whether it has answered or not", async () => {
  const { socketPath } = await engineOf((_request, response, path) => {
    if (path === "/begun") response.writeHead(200).flushHeaders();
    return true;
  });
  const closing = new AbortController();
  const engine = createEngine({ socketPath }, systemClock, closing.signal);
  for (const path of ["/begun", "/silent"]) {
    const abort = new AbortController();
    let outcome: unknown = "pending";
    // The signal is held by nothing but the call.
    (() => {
      const { signal } = abort;
      const read = async (answer: AsyncIterable<unknown>): Promise<void> => {
        for await (const _ of answer);
      };
      void codeOf(engine.stream({ method: "GET", path }, { what: "wait", signal, idleMs: 0 }, read)).then((code) => {
        outcome = code;
      });
    })();
    for (let turn = 0; turn < 5; turn += 1) {
      await delay(10);
      collect();
    }
    expect(outcome).toBe("pending");
    abort.abort("enough");
    for (let turn = 0; turn < 50 && outcome === "pending"; turn += 1) {
      collect();
      await delay(10);
    }
    expect(outcome).toBe("enough");
  }
});
