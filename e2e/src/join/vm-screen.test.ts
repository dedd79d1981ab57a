import { expect, test } from "vitest";
import { parsePpm, shareOf } from "./vm-screen.ts";

const picture = Buffer.concat([Buffer.from("P6\n2 2\n255\n"), Buffer.from("1b28451b2845ffffff000000", "hex")]);

test("half of the picture has the colour", () => {
  const screen = parsePpm(picture);
  expect(screen).toMatchObject({ width: 2, height: 2 });
  expect(shareOf(screen, 0x1b2845, { x: 0, y: 0, width: 2, height: 2 })).toBe(0.5);
  expect(shareOf(screen, 0x1b2845, { x: 0, y: 1, width: 2, height: 2 })).toBe(0);
});

test("what is no picture, or half of one, is refused", () => {
  expect(() => parsePpm(Buffer.from("P5 2 2 255 "))).toThrow();
  expect(() => parsePpm(picture.subarray(0, -1))).toThrow();
});
