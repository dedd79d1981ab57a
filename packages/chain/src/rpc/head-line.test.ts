import { chainTime, type Hex } from "@iexec-ts/poco";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Head } from "../api.ts";
import { type Follower, HeadLine } from "./head-line.ts";

const head = (number: number, fork = "a"): Head => ({
  number: BigInt(number),
  hash: `0x${fork}${number.toString(16)}` satisfies Hex,
  timestamp: chainTime(BigInt(number)),
  baseFeePerGas: undefined,
});

const node = (name: string): Follower & { usable: boolean } => ({ name, usable: true, height: undefined, hash: undefined });

function line(...names: string[]) {
  const nodes = names.map(node);
  return { line: new HeadLine(nodes), nodes };
}

describe("head line", () => {
  test("follows the highest block and refuses nodes below it", () => {
    const { line: heads, nodes } = line("a", "b");
    const [a, b] = nodes;
    if (a === undefined || b === undefined) throw new Error("two nodes");
    expect(heads.observe(a, head(10))).toBe(true);
    expect(heads.observe(b, head(8))).toBe(false);
    expect([heads.isLevel(a), heads.isLevel(b)]).toEqual([true, false]);
    expect(heads.observe(b, head(11))).toBe(true);
    expect([heads.isLevel(a), heads.isLevel(b)]).toEqual([false, true]);
    b.usable = false;
    expect(heads.isLevel(b)).toBe(false);
    expect(heads.floor).toBe(11n);
  });

  test("shows a replaced block when the node that showed it says so, not when another is on a fork", () => {
    const { line: heads, nodes } = line("a", "b");
    const [a, b] = nodes;
    if (a === undefined || b === undefined) throw new Error("two nodes");
    heads.observe(a, head(10));
    expect(heads.observe(b, head(10, "b"))).toBe(false);
    expect(heads.observe(a, head(10, "c"))).toBe(true);
    expect(heads.current?.hash).toBe(head(10, "c").hash);
  });

  test("goes back at once to a block that is not an ancestor", () => {
    const { line: heads, nodes } = line("a");
    const [a] = nodes;
    if (a === undefined) throw new Error("one node");
    heads.observe(a, head(9));
    heads.observe(a, head(10));
    expect(heads.observe(a, head(9, "b"))).toBe(true);
    expect(heads.floor).toBe(9n);
  });

  test("takes a known older block for a lagging backend until it has been shown three times", () => {
    const { line: heads, nodes } = line("a");
    const [a] = nodes;
    if (a === undefined) throw new Error("one node");
    heads.observe(a, head(9));
    heads.observe(a, head(10));
    expect([1, 2, 3].map(() => heads.observe(a, head(9)))).toEqual([false, false, true]);
    expect(heads.isLevel(a)).toBe(true);
  });

  test("never lets a single node drag it back while another stands at the newest block", () => {
    const { line: heads, nodes } = line("a", "b");
    const [a, b] = nodes;
    if (a === undefined || b === undefined) throw new Error("two nodes");
    heads.observe(a, head(10));
    heads.observe(b, head(10));
    for (let n = 0; n < 5; n += 1) expect(heads.observe(a, head(3, "f"))).toBe(false);
    expect(heads.floor).toBe(10n);
  });

  test("a receipt from a block not yet seen closes the door to nodes below it", () => {
    const { line: heads, nodes } = line("a", "b");
    const [a, b] = nodes;
    if (a === undefined || b === undefined) throw new Error("two nodes");
    heads.observe(a, head(10));
    heads.observe(b, head(10));
    heads.raiseFloor(a, 11n);
    expect([heads.isLevel(a), heads.isLevel(b)]).toEqual([true, false]);
    heads.observe(b, head(11));
    expect(heads.isLevel(b)).toBe(true);
  });

  test("can be lowered when nobody reaches the newest block any more", () => {
    const { line: heads, nodes } = line("a", "b");
    const [a, b] = nodes;
    if (a === undefined || b === undefined) throw new Error("two nodes");
    heads.observe(a, head(1_000_000));
    a.usable = false;
    heads.observe(b, head(10));
    expect(heads.isLevel(b)).toBe(false);
    heads.lower();
    expect(heads.isLevel(b)).toBe(true);
    expect(heads.observe(b, head(11))).toBe(true);
  });

  test("a level node is never below the current head", () => {
    const step = fc.record({
      who: fc.nat(2),
      number: fc.integer({ min: 1, max: 20 }),
      fork: fc.constantFrom("a", "b"),
      usable: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { line: heads, nodes } = line("x", "y", "z");
        for (const { who, number, fork, usable } of steps) {
          const one = nodes[who];
          if (one === undefined) continue;
          one.usable = usable;
          if (usable) heads.observe(one, head(number, fork));
          for (const each of nodes) {
            if (heads.isLevel(each)) expect(each.height ?? 0n).toBeGreaterThanOrEqual(heads.current?.number ?? 0n);
          }
          expect(heads.floor).toBeGreaterThanOrEqual(heads.current?.number ?? 0n);
        }
      }),
    );
  });
});
