import { createLogger } from "@iexec-ts/service";
import { expect, test } from "vitest";
import { Closers } from "./closers.ts";
import { HandClock } from "./replicate/test/hand-clock.ts";

test("a part that hangs or fails is named, and the others end all the same, the last first", async () => {
  const clock = new HandClock();
  const lines: string[] = [];
  const log = createLogger({ level: "warn", destination: { write: (line) => void lines.push(line) } });
  const ended: string[] = [];
  const closers = new Closers({ clock, log });
  closers.add("first", () => void ended.push("first"));
  closers.add("engine", () => new Promise(() => undefined));
  closers.add("link", async () => Promise.reject(new Error("gone")));
  closers.add("last", async () => void ended.push("last"));
  const closing = closers.close();
  await clock.pass(8_000);
  await closing;
  expect(ended).toEqual(["last", "first"]);
  expect(lines.map((line) => JSON.parse(line).part)).toEqual(["link", "engine"]);
});
