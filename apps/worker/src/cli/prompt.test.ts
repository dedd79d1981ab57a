import { PassThrough, Writable } from "node:stream";
import { expect, test } from "vitest";
import { terminalPrompter } from "./prompt.ts";

/** A terminal that echoes what is typed unless told not to, as the kernel's line discipline does. */
function terminal() {
  let shown = "";
  let raw = false;
  const keys = new PassThrough();
  const input = Object.assign(keys, { isTTY: true, setRawMode: (on: boolean) => (raw = on) });
  const typed = (text: string) => {
    if (!raw) shown += text;
    keys.write(text);
  };
  return { input, typed, screen: () => shown, show: (text: string) => (shown += text) };
}

test("a secret typed the moment the question appears is not shown", async () => {
  const { input, typed, screen, show } = terminal();
  const output = new Writable({
    write(chunk: Buffer, _, done) {
      show(chunk.toString());
      if (chunk.toString().includes("Password")) typed("hunter2\r");
      done();
    },
  });
  const prompt = terminalPrompter({ input, output }, { noInput: false, signal: new AbortController().signal });
  const secret = await prompt.askSecret("Password:", "--password-file");
  expect(secret.reveal()).toBe("hunter2");
  expect(screen()).not.toContain("hunter2");
});
