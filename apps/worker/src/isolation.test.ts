import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { IsolationProof } from "@iexec-ts/sandbox";
import { backoff, CodedError, createLogger, seededRandom, systemClock } from "@iexec-ts/service";
import { afterEach, beforeEach, expect, test } from "vitest";
import { IsolationGuard, type IsolationOptions, readProof } from "./isolation.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "isolation-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const never = new AbortController().signal;
const GOOD: IsolationProof = {
  runtime: "runc",
  network: "none",
  proven: true,
  limits: [{ limit: "memory", proven: true, seen: "killed" }],
};
const BAD: IsolationProof = { ...GOOD, proven: false, limits: [{ limit: "memory", proven: false, seen: "survived" }] };

/** A worker's start on a host where the probe answers so. */
function start(
  answers: readonly (IsolationProof | Error | Promise<IsolationProof>)[],
  over: Partial<IsolationOptions & { key: string }> = {},
) {
  let probes = 0;
  const guard = new IsolationGuard(
    { path: join(dir, "isolation.json"), network: "none", labels: { a: "b" }, probeImage: "x", allowUnproved: false, ...over },
    {
      sandbox: {
        proofKey: async () => over.key ?? "key",
        reap: async () => [],
        prove: async () => {
          const answer = answers[Math.min(probes, answers.length - 1)];
          probes += 1;
          if (answer instanceof Error) throw answer;
          if (answer === undefined) throw new Error("no answer");
          return answer;
        },
      },
      clock: systemClock,
      log: createLogger({ level: "silent" }),
      backoff: () => backoff({ baseMs: 1, maxMs: 2 }, seededRandom(1)),
      bootId: async () => "boot",
    },
  );
  return { guard, probes: () => probes };
}
const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (thrown: unknown) => CodedError.from(thrown).code,
  );

test("without a proof the first app waits for it; the next start remembers it and proves again beside the app", async () => {
  const first = start([GOOD]);
  await first.guard.ready(never);
  expect(first.probes()).toBe(1);
  expect(await readProof(join(dir, "isolation.json"))).toMatchObject({ proven: true, runtime: "runc" });

  const { promise: slow, resolve } = Promise.withResolvers<IsolationProof>();
  const second = start([slow]);
  await second.guard.begin();
  expect(second.probes()).toBe(0);
  await second.guard.ready(never);
  expect(second.probes()).toBe(1);
  resolve(GOOD);
  await second.guard.close();
});

test("ten workers of one process and base folder prove at once: none fails, one whole proof stays, and nothing beside it", async () => {
  const guards = Array.from({ length: 10 }, () => start([GOOD]).guard);
  expect(await Promise.all(guards.map((guard) => codeOf(guard.ready(never))))).toEqual(Array(10).fill(undefined));
  expect(await readProof(join(dir, "isolation.json"))).toMatchObject({ proven: true });
  expect(await readdir(dir)).toEqual(["isolation.json"]);
});

test("a probe that trips over this host, or over a mistake of ours, says nothing about the isolation: it is made again", async () => {
  const disk = Object.assign(new Error("ENOSPC: planted"), { code: "ENOSPC" });
  const { guard, probes } = start([disk, new TypeError("planted"), GOOD]);
  expect(await codeOf(guard.ready(never))).toBe(undefined);
  expect(probes()).toBe(3);
});

test("a proof that cannot be written down is a proof", async () => {
  const { guard } = start([GOOD], { path: join(dir, "gone", "isolation.json") });
  expect(await codeOf(guard.ready(never))).toBe(undefined);
  expect(guard.refusal()).toBe(undefined);
});

test("another engine, runtime or version is proved before its first app", async () => {
  await start([GOOD]).guard.ready(never);
  const { guard, probes } = start([GOOD], { key: "other" });
  await guard.begin();
  await guard.ready(never);
  expect(probes()).toBe(1);
});

test("a limit that is not honoured: no app runs, no task is taken, and that is not remembered as a proof", async () => {
  const { guard } = start([BAD]);
  let told = 0;
  guard.onChange(() => {
    told += 1;
  });
  expect(await codeOf(guard.ready(never))).toBe("SBX-1501");
  expect(guard.refusal()?.args.missing).toBe("memory (survived)");
  expect(told).toBe(1);
  expect(await codeOf(start([BAD]).guard.ready(never))).toBe("SBX-1501");
});

test("a proof that fails on a later start stops further apps", async () => {
  await start([GOOD]).guard.ready(never);
  const { guard } = start([BAD]);
  const changed = new Promise<void>((resolve) => guard.onChange(resolve));
  await guard.ready(never);
  await changed;
  expect(guard.refusal()?.code).toBe("SBX-1501");
  expect(await codeOf(guard.ready(never))).toBe("SBX-1501");
});

test("the operator may take tasks all the same", async () => {
  const { guard } = start([BAD], { allowUnproved: true });
  await guard.ready(never);
  expect(guard.refusal()).toBeUndefined();
});

test("an engine that is away is waited for; a probe without an image is no proof", async () => {
  const away = start([new CodedError("SBX-1001", { what: "x", reason: "y" }), GOOD]);
  await away.guard.ready(never);
  expect(away.probes()).toBe(2);
  const { guard } = start([new CodedError("SBX-1502", { reason: "none" })], { path: join(dir, "other.json") });
  expect(await codeOf(guard.ready(never))).toBe("SBX-1501");
});

test("an app that is given up does not wait", async () => {
  const { guard } = start([new Promise<IsolationProof>(() => undefined)]);
  const stop = new AbortController();
  const waiting = guard.ready(stop.signal);
  stop.abort(new CodedError("WRK-1313"));
  expect(await codeOf(waiting)).toBe("WRK-1313");
});
