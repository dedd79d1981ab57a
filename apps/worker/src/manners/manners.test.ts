import { mkdir, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { linuxHost } from "./host-facts.ts";
import { parseHours } from "./hours.ts";
import { refusalOf, type Seen } from "./manners.ts";

const hours = parseHours("always");
if (hours === undefined) throw new Error("no hours");
const never = parseHours("never");
const relaxed = { hours, onlyWhenIdle: false, idleAfterMs: 600_000, onBattery: true, maxLoad: 100, diskBudgetMib: undefined };
const calm: Seen = { now: new Date(), inputIdleMs: 0, onBattery: true, othersBusy: 8, cpus: 8, usedMib: 1_000_000 };

describe("manners", () => {
  test("a relaxed worker asks whatever happens", () => {
    expect(refusalOf(relaxed, calm)).toBeUndefined();
  });

  test.each([
    ["WRK-1531", { hours: never ?? hours }],
    ["WRK-1532", { onlyWhenIdle: true }],
    ["WRK-1533", { maxLoad: 50 }],
    ["WRK-1534", { onBattery: false }],
    ["WRK-1535", { diskBudgetMib: 500 }],
  ] as const)("%s", (code, change) => {
    expect(refusalOf({ ...relaxed, ...change }, calm)?.code).toBe(code);
  });

  test("what cannot be seen is no reason", () => {
    const blind: Seen = { ...calm, inputIdleMs: undefined, onBattery: false, othersBusy: undefined, usedMib: undefined };
    expect(refusalOf({ ...relaxed, onlyWhenIdle: true, onBattery: false, maxLoad: 10, diskBudgetMib: 1 }, blind)).toBeUndefined();
  });
});

describe("a Linux host", () => {
  let root: string;
  const put = async (path: string, text: string) => {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  };
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "iexec-host-"));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  test("busy CPUs are what the counters say between two looks", async () => {
    const host = linuxHost(root, 4);
    expect(await host.busyCpus()).toBeUndefined();
    await put("proc/stat", "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 2 3\n");
    expect(await host.busyCpus()).toBeUndefined();
    await put("proc/stat", "cpu  150 0 150 900 0 0 0 0 0 0\n");
    expect(await host.busyCpus()).toBeCloseTo(2);
    // Too short a time: the last answer stands.
    await put("proc/stat", "cpu  151 0 150 900 0 0 0 0 0 0\n");
    expect(await host.busyCpus()).toBeCloseTo(2);
  });

  test("the newest input of any terminal counts", async () => {
    const host = linuxHost(root);
    expect(await host.inputIdleMs(new Date())).toBeUndefined();
    const now = new Date();
    for (const [name, secondsAgo] of [
      ["pts/0", 300],
      ["tty2", 90],
      ["pts/ptmx", 1],
      ["tty0", 1],
      ["null", 1],
    ] as const) {
      await put(`dev/${name}`, "");
      const at = new Date(now.getTime() - secondsAgo * 1_000);
      await utimes(join(root, "dev", name), at, at);
    }
    expect(await host.inputIdleMs(now)).toBe(90_000);
  });

  test.each([
    ["no supply", {}, false],
    ["a battery that drains", { BAT0: { type: "Battery", status: "Discharging" } }, true],
    ["a battery that charges", { BAT0: { type: "Battery", status: "Charging" } }, false],
    ["mains on line", { BAT0: { type: "Battery", status: "Discharging" }, AC: { type: "Mains", online: "1" } }, false],
    ["mains off line", { BAT0: { type: "Battery", status: "Discharging" }, AC: { type: "Mains", online: "0" } }, true],
    ["the battery of a mouse", { hid: { type: "Battery", scope: "Device", status: "Discharging" } }, false],
  ] as const)("on battery: %s", async (_, supplies: Readonly<Record<string, Readonly<Record<string, string>>>>, expected) => {
    for (const [name, files] of Object.entries(supplies))
      for (const [file, text] of Object.entries(files)) await put(`sys/class/power_supply/${name}/${file}`, `${text}\n`);
    expect(await linuxHost(root).onBattery()).toBe(expected);
  });
});
