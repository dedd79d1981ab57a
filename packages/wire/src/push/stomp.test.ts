import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { agreeHeartbeat, CLIENT_LIMITS, encodeFrame, StompDecoder, type StompFrame } from "./stomp.ts";

const decode = (...pieces: string[]): StompFrame[] => {
  const decoder = new StompDecoder(CLIENT_LIMITS);
  return pieces.flatMap((piece) => decoder.push(piece));
};
const wellFormed = fc.string({ unit: "grapheme", maxLength: 30 });
const frame = fc.record({
  command: fc.constantFrom("MESSAGE", "SUBSCRIBE", "ERROR"),
  headers: fc.dictionary(
    wellFormed.filter((name) => name !== "" && name !== "content-length" && name !== "__proto__"),
    wellFormed,
    { maxKeys: 5 },
  ),
  body: wellFormed,
});

describe("STOMP frames", () => {
  test("come back as they were, cut anywhere, with heart-beats between", () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 4 }), fc.array(fc.nat(), { maxLength: 8 }), (frames, cuts) => {
        const text = frames.map(({ command, headers, body }) => `\n${encodeFrame(command, headers, body)}\r\n`).join("");
        // Pieces are JSON strings on the wire, so a cut never splits a surrogate pair.
        const points = [...text];
        const edges = [0, ...cuts.map((cut) => cut % (points.length + 1)).sort((a, b) => a - b), points.length];
        const pieces = edges.slice(1).map((end, index) => points.slice(edges[index], end).join(""));
        const decoded = decode(...pieces);
        expect(decoded.map(({ command, body }) => ({ command, body }))).toEqual(frames.map(({ command, body }) => ({ command, body })));
        for (const [index, { headers }] of frames.entries()) {
          for (const [name, value] of Object.entries(headers)) expect(decoded[index]?.headers.get(name)).toBe(value);
        }
      }),
    );
  });

  test("a body may hold NUL when its length is told, and the first of two headers counts", () => {
    expect(decode("MESSAGE\na:1\na:2\ncontent-length:3\n\nx\0y\0")[0]).toMatchObject({
      body: "x\0y",
      headers: new Map([
        ["a", "1"],
        ["content-length", "3"],
      ]),
    });
  });

  test("CONNECT is not escaped, for old peers", () => {
    expect(decode("CONNECT\nlogin:a\\b:c\n\n\0")[0]?.headers.get("login")).toBe("a\\b:c");
  });

  test.each([
    ["not a command", "hello\n\n\0"],
    ["a header without colon", "SEND\nnocolon\n\n\0"],
    ["an undefined escape", "SEND\na:b\\t\n\n\0"],
    ["a bad length", "SEND\ncontent-length:-1\n\n\0"],
    ["a length that lies", "SEND\ncontent-length:1\n\nabc\0"],
    ["a length over the limit", "SEND\ncontent-length:999999999\n\n"],
    ["no head", "SEND\0"],
    ["too many headers", `SEND\n${"a:b\n".repeat(65)}\n\0`],
  ])("%s is refused", (_name, text) => {
    expect(() => decode(text)).toThrow(expect.objectContaining({ code: "WIR-1302" }));
  });

  test("an endless frame is refused at the limit", () => {
    const limits = { maxFrameBytes: 100, maxHeaders: 4 };
    for (const start of ["SEND\nx:", "SEND\n\n"]) {
      const decoder = new StompDecoder(limits);
      decoder.push(start);
      expect(() => {
        for (let round = 0; round < 20; round += 1) decoder.push("aaaaaaaaaa");
      }).toThrow(expect.objectContaining({ code: "WIR-1302" }));
    }
  });

  test("any text is frames or a coded error", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary" })), (pieces) => {
        try {
          decode(...pieces);
        } catch (thrown) {
          expect(thrown).toMatchObject({ code: "WIR-1302" });
        }
      }),
    );
  });

  test.each([
    ["10000,10000", 10_000, 10_000],
    ["0,0", 0, 0],
    ["5000,20000", 20_000, 10_000],
    ["0,1", 10_000, 0],
    ["nonsense", 0, 0],
    [undefined, 0, 0],
  ])("heart-beat %s", (theirs, sendMs, expectMs) => {
    expect(agreeHeartbeat([10_000, 10_000], theirs)).toEqual({ sendMs, expectMs });
  });
});
