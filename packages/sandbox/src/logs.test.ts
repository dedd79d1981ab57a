import fc from "fast-check";
import { expect, test } from "vitest";
import { captureLogs, demultiplex, type LogStream, MalformedLog } from "./logs.ts";

const frame = (stream: LogStream, payload: Uint8Array): Buffer => {
  const header = Buffer.alloc(8);
  header.writeUInt8(stream === "stdout" ? 1 : 2, 0);
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, payload]);
};

async function* chunks(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  for (let at = 0, n = 0; at < bytes.length; n++) {
    const size = sizes[n % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

const capture = (bytes: Buffer, decode: "stream" | "frames", logBytes = 1_000, sizes: readonly number[] = [7]) =>
  captureLogs(chunks(bytes, sizes), { logBytes, decode, rotated: () => false });

const frames = fc.array(fc.tuple(fc.constantFrom<LogStream>("stdout", "stderr"), fc.uint8Array({ maxLength: 40 })), { maxLength: 20 });
const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 5 });
const joined = (parts: readonly (readonly [LogStream, Uint8Array])[], stream: LogStream) =>
  Buffer.concat(parts.filter(([kind]) => kind === stream).map(([, payload]) => payload));

test("however the bytes are cut into chunks, each stream gets its own bytes", async () => {
  await fc.assert(
    fc.asyncProperty(frames, sizes, async (parts, cut) => {
      const seen: Record<LogStream, Buffer[]> = { stdout: [], stderr: [] };
      let ends = 0;
      for await (const { stream, bytes, last } of demultiplex(chunks(Buffer.concat(parts.map(([s, p]) => frame(s, p))), cut))) {
        seen[stream].push(Buffer.from(bytes));
        if (last) ends += 1;
      }
      expect(ends).toBe(parts.length);
      for (const stream of ["stdout", "stderr"] as const) expect(Buffer.concat(seen[stream])).toEqual(joined(parts, stream));
    }),
  );
});

test("the tail is the end of the text, never longer than its cap", async () => {
  const text = fc.array(fc.string({ unit: "grapheme", maxLength: 20 }), { maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(text, fc.integer({ min: 1, max: 60 }), sizes, async (lines, logBytes, cut) => {
      const whole = lines.join("");
      const { stdout } = await capture(Buffer.concat(lines.map((line) => frame("stdout", Buffer.from(line)))), "stream", logBytes, cut);
      expect(whole.endsWith(stdout.text)).toBe(true);
      const kept = Buffer.byteLength(stdout.text);
      const total = Buffer.byteLength(whole);
      expect(stdout).toMatchObject({ bytes: total, truncated: total > logBytes });
      expect(kept).toBeLessThanOrEqual(logBytes);
      // At most a partial character is given up at the cut.
      expect(kept).toBeGreaterThanOrEqual(Math.min(total, logBytes) - 3);
    }),
  );
});

test("a character split between two frames", async () => {
  const euro = Buffer.from("a€b");
  const split = Buffer.concat([frame("stdout", euro.subarray(0, 2)), frame("stderr", Buffer.from("!")), frame("stdout", euro.subarray(2))]);
  expect((await capture(split, "stream")).stdout.text).toBe("a€b");
  // compute.md 1.10: each frame is decoded on its own.
  expect((await capture(split, "frames")).stdout.text).toBe("a\uFFFD\uFFFD\uFFFDb");
});

test.each([
  ["another kind of stream", Buffer.from([3, 0, 0, 0, 0, 0, 0, 1, 65])],
  ["plain text", Buffer.from("hello, this is not multiplexed")],
  ["an endless frame", Buffer.from([1, 0, 0, 0, 255, 255, 255, 255, 65])],
  ["the end inside a header", Buffer.from([1, 0, 0])],
  ["the end inside a frame", Buffer.from([1, 0, 0, 0, 0, 0, 0, 5, 65])],
])("%s is malformed", async (_, bytes) => {
  await expect(capture(bytes, "stream")).rejects.toBeInstanceOf(MalformedLog);
});

test("a log the engine may have rotated is marked", async () => {
  const counted: number[] = [];
  const rotated = (count: number, bytes: number) => counted.push(count, bytes) > 0;
  const source = chunks(Buffer.concat([frame("stdout", Buffer.from("ab")), frame("stderr", Buffer.from("c"))]), [3]);
  const { stdout, stderr } = await captureLogs(source, { logBytes: 10, decode: "stream", rotated });
  expect(counted).toEqual([2, 3]);
  expect([stdout.truncated, stderr.truncated]).toEqual([true, true]);
});
