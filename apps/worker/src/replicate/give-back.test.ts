import { backoff, CodedError, type ErrorCode, seededRandom } from "@iexec-ts/service";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ReplicateEngine } from "./engine.ts";
import { StageWorld, TASK } from "./test/stage-world.ts";

let world: StageWorld;
let engine: ReplicateEngine;
const alarms: ErrorCode[] = [];
beforeEach(() => {
  world = new StageWorld();
  alarms.length = 0;
  engine = new ReplicateEngine(world.ports, {
    onAlarm: ({ code }) => alarms.push(code),
    backoff: () => backoff({ baseMs: 1, maxMs: 5 }, seededRandom(1)),
  });
});
afterEach(async () => {
  await engine.close();
  await world.close();
});

const closed = (): Promise<void> => new Promise((resolve) => engine.onClosed(() => resolve()));
const reached = (wanted: string): Promise<void> =>
  new Promise((resolve) => world.journal.onChange(({ status }) => (status === wanted ? resolve() : undefined)));
const causes = () => world.journal.history(TASK).map(({ status, cause }) => (cause === undefined ? status : `${status} ${cause}`));

test("what only a person can mend is given back at once, with its own code: another worker is asked", async () => {
  world.failures.isolation = new CodedError("SBX-1501", { missing: "memory (survived)" });
  const end = closed();
  engine.drive(TASK);
  await end;
  expect(causes().slice(-2)).toEqual(["COMPUTING", "FAILED SBX-1501"]);
  expect(world.journal.get(TASK).closedAt).toBeDefined();
});

test("a full disk, too many open files, a lost engine: tried again, and the task is done", async () => {
  const raw = (code: string) => Object.assign(new Error(`${code}: planted`), { code });
  world.engine.failNext("pull", raw("EMFILE"), new CodedError("SBX-1105", { image: "x" }));
  world.engine.failNext("run", raw("ENOSPC"), new TypeError("planted"), new CodedError("SBX-1001", { what: "run", reason: "planted" }));
  const done = reached("CONTRIBUTING");
  engine.drive(TASK);
  await done;
  expect(causes().filter((text) => text.includes("FAILED"))).toEqual([]);
});

test("a host that stays ill gives the task back while another worker can still do it", async () => {
  const ill = new CodedError("SBX-1002", { what: "create a container", status: 500, reason: "planted" });
  world.engine.failNext("run", ...Array.from({ length: 2_000 }, () => ill));
  const end = closed();
  engine.drive(TASK);
  await reached("COMPUTING");
  world.age = 299n;
  expect(world.journal.get(TASK).status).toBe("COMPUTING");
  world.age = 300n;
  await end;
  expect(causes().slice(-1)).toEqual(["FAILED SBX-1002"]);
});

test("a wallet that somebody else uses is told once, and the task is tried on", async () => {
  const taken = () => new CodedError("CHN-3005", { address: "0x", latest: 1, ours: 2 });
  world.engine.failNext("pull", taken(), taken(), taken());
  const done = reached("COMPUTED");
  engine.drive(TASK);
  await done;
  expect(alarms).toEqual(["CHN-3005"]);
});
