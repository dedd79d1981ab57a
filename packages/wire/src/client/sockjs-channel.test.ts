import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readSockJsFrame } from "./sockjs-channel.ts";

describe("SockJS frames", () => {
  test.each([
    ["o", { kind: "open" }],
    ["h", { kind: "heartbeat" }],
    ["h".repeat(2048), { kind: "heartbeat" }],
    [`a["x","\\n"]`, { kind: "messages", texts: ["x", "\n"] }],
    [`m"x"`, { kind: "messages", texts: ["x"] }],
    [`c[3000,"Go away!"]`, { kind: "close", reason: "closed by the scheduler: 3000 Go away!" }],
    ["a[1]", { kind: "unknown" }],
    ["a{", { kind: "unknown" }],
    ["", { kind: "unknown" }],
  ])("%s", (line, frame) => {
    expect(readSockJsFrame(line)).toEqual(frame);
  });

  test("messages come back as they were; any other line is only unknown", () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (texts) => {
        expect(readSockJsFrame(`a${JSON.stringify(texts)}`)).toEqual({ kind: "messages", texts });
      }),
    );
    fc.assert(fc.property(fc.string(), (line) => readSockJsFrame(line).kind !== undefined));
  });
});
