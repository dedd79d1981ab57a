import { mkdir, rm } from "node:fs/promises";
import { CodedError } from "@iexec-ts/service";
import { afterEach, beforeEach, expect, test } from "vitest";
import { taskPaths } from "../paths.ts";
import { BEFORE, IMAGE, StageWorld, TASK } from "../test/stage-world.ts";
import { appContainer, compute } from "./compute.ts";

let world: StageWorld;
beforeEach(async () => {
  world = new StageWorld();
  await world.reach(BEFORE.COMPUTE);
});
afterEach(() => world.close());

const attempt = (): Promise<string> =>
  compute(world.journal.get(TASK), world.ports, new AbortController().signal).then(
    () => world.journal.get(TASK).status,
    (thrown: unknown) => CodedError.from(thrown).code,
  );
const container = () => appContainer(world.ports, { taskId: TASK });
const last = () => world.journal.history(TASK).at(-1);

test("a container that somebody removed while it ran is run again", async () => {
  world.publish({ runMs: "forever" });
  const first = attempt();
  while ((await world.ports.sandbox.list({ "iexec.worker": world.ports.worker })).length === 0) await new Promise(setImmediate);
  world.engine.remove(container());
  expect(await first).toBe("SBX-1301");
  world.publish({});
  expect(await attempt()).toBe("COMPUTED");
});

test("a container that went down with its engine is run again, and its exit code is not taken for the app's", async () => {
  world.publish({ exitCode: 137 });
  world.engine.failNext("wait", new CodedError("SBX-1302", { name: container(), exitCode: 137 }));
  expect(await attempt()).toBe("SBX-1302");
  world.publish({});
  expect(await attempt()).toBe("COMPUTED");
  expect(world.engine.starts).toBe(2);
});

test.each([137, 143, 255])("found ended with %i after a restart, as a host that went down leaves it: run again", async (exitCode) => {
  world.publish({ exitCode, effect: async () => undefined });
  world.engine.failNext("wait", new CodedError("SBX-1001", { what: "wait", reason: "the worker crashed here" }));
  expect(await attempt()).toBe("SBX-1001");
  expect(await attempt()).toBe("SBX-1302");
  // An app that really ends like this does it again.
  expect(await attempt()).toBe("COMPUTE_FAILED");
  expect(last()?.cause).toBe("APP_COMPUTE_FAILED");
});

test("found ended with a code of its own after a restart: the app's end, not computed twice", async () => {
  world.publish({ exitCode: 3, effect: async () => undefined });
  world.engine.failNext("wait", new CodedError("SBX-1001", { what: "wait", reason: "the worker crashed here" }));
  expect(await attempt()).toBe("SBX-1001");
  expect(await attempt()).toBe("COMPUTE_FAILED");
  expect(world.engine.starts).toBe(1);
});

test("an image that somebody removed after its pull is pulled again; one that is gone everywhere is this host's loss", async () => {
  const missing = () => new CodedError("SBX-1204", { image: IMAGE });
  world.engine.failNext("run", missing());
  world.engine.failNext("pull", new CodedError("SBX-1101", { image: IMAGE }));
  expect(await attempt()).toBe("SBX-1204");
  world.engine.failNext("run", missing());
  expect(await attempt()).toBe("COMPUTED");
});

test("time that the engine was away is not the app's time", async () => {
  world.engine.failNext("run", new CodedError("SBX-1002", { what: "create a container", status: 500, reason: "planted" }));
  expect(await attempt()).toBe("SBX-1002");
  // As if the engine had been away for longer than the app may run.
  world.journal.note(TASK, { computeDeadline: new Date(Date.now() - 1_000) });
  world.publish({ runMs: 20 });
  expect(await attempt()).toBe("COMPUTED");
});

test("an output folder that somebody removed while the app ran is not an output that the app did not write", async () => {
  const { root } = taskPaths(world.ports.tasksDir, TASK);
  world.publish({ effect: () => rm(root, { recursive: true }) });
  expect(await attempt()).toBe("PAY-1210");
  world.publish({});
  expect(await attempt()).toBe("WRK-1320");
  expect(await attempt()).toBe("COMPUTED");
});

test("an archive that the disk does not take is written when it does, without computing again", async () => {
  const { zip } = taskPaths(world.ports.tasksDir, TASK);
  await mkdir(zip, { recursive: true });
  expect(await attempt()).toBe("PAY-1215");
  await rm(zip, { recursive: true });
  expect(await attempt()).toBe("COMPUTED");
  expect(world.engine.starts).toBe(1);
});

test("an app that fails, writes nothing, or names what is not there has failed by itself", async () => {
  world.publish({ effect: async () => undefined });
  expect(await attempt()).toBe("COMPUTE_FAILED");
  expect(last()?.cause).toBe("POST_COMPUTE_COMPUTED_FILE_NOT_FOUND");
});
