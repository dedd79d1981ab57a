import { getEventListeners } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Clock } from "./clock.ts";
import { openScope, orAborted } from "./scope.ts";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

/** Whether an abort that falls into an await without a listener, followed by a collection, reaches what is made of its signal. */
async function reaches(made: (sources: readonly AbortSignal[]) => AbortSignal): Promise<boolean> {
  const lasting = new AbortController();
  const composite = (() => {
    const brief = new AbortController();
    const both = made([brief.signal, lasting.signal]);
    if (both.aborted) throw new Error("aborted too early");
    brief.abort();
    return both;
  })();
  for (let turn = 0; turn < 3; turn += 1) {
    await delay(1);
    collect();
  }
  return composite.aborted;
}

/** As `reaches`, where the collection comes before the abort. */
async function reachesLater(made: (sources: readonly AbortSignal[]) => AbortSignal): Promise<boolean> {
  const lasting = new AbortController();
  const { composite, abort } = (() => {
    const brief = new AbortController();
    return { composite: made([brief.signal, lasting.signal]), abort: () => brief.abort() };
  })();
  await delay(1);
  collect();
  abort();
  await delay(1);
  collect();
  return composite.aborted;
}

test("an abort is never lost to a garbage collection", async () => {
  for (let time = 0; time < 5; time += 1) {
    expect(await reaches((sources) => openScope(sources).signal)).toBe(true);
    expect(await reachesLater((sources) => openScope(sources).signal)).toBe(true);
  }
});

test("control: AbortSignal.any of this Node loses it, which is why there are scopes", async () => {
  // biome-ignore lint/plugin: the fault itself is shown here
  expect(await reaches((sources) => AbortSignal.any([...sources]))).toBe(false);
});

test("a scope ends with the first of its parents, with its reason", () => {
  const [first, second] = [new AbortController(), new AbortController()];
  const scope = openScope([first.signal, undefined, second.signal]);
  second.abort("two");
  first.abort("one");
  expect(scope.signal.reason).toBe("two");
});

test("a scope of an ended parent has ended", () => {
  expect(openScope([new AbortController().signal, AbortSignal.abort("gone")]).signal.reason).toBe("gone");
});

test("disposing ends what runs in it and leaves nothing on the parents", () => {
  const parent = new AbortController();
  let inner: AbortSignal;
  {
    using scope = openScope([parent.signal], { ms: 60_000 });
    inner = scope.signal;
    expect(getEventListeners(parent.signal, "abort")).toHaveLength(1);
    expect(inner.aborted).toBe(false);
  }
  expect(inner.aborted).toBe(true);
  expect(parent.signal.aborted).toBe(false);
  expect(getEventListeners(parent.signal, "abort")).toHaveLength(0);
});

test("a scope ends when its time is up, by the clock it was given", async () => {
  const woken = Promise.withResolvers<void>();
  const clock: Clock = { now: () => new Date(0), monotonicMs: () => 0, sleep: () => woken.promise };
  using scope = openScope([], { ms: 5, clock, reason: () => "late" });
  expect(scope.signal.aborted).toBe(false);
  woken.resolve();
  await delay(0);
  expect(scope.signal.reason).toBe("late");
});

test("any tree of scopes ends exactly below what ended", () => {
  fc.assert(
    fc.property(fc.array(fc.array(fc.nat(), { maxLength: 3 }), { minLength: 1, maxLength: 30 }), fc.nat(), (shape, chosen) => {
      const scopes: { readonly scope: ReturnType<typeof openScope>; readonly above: ReadonlySet<number> }[] = [];
      shape.forEach((wishes, index) => {
        const parents = index === 0 ? [] : [...new Set(wishes.map((wish) => wish % index))];
        const above = new Set(parents.flatMap((parent) => [parent, ...(scopes[parent]?.above ?? [])]));
        scopes.push({ scope: openScope(parents.map((parent) => scopes[parent]?.scope.signal)), above });
      });
      const ended = chosen % scopes.length;
      scopes[ended]?.scope.end("ended");
      scopes.forEach(({ scope, above }, index) => {
        expect(scope.signal.aborted).toBe(index === ended || above.has(ended));
      });
    }),
  );
});

test("a wait that nobody settles ends with the signal, and leaves no listener behind", async () => {
  const stop = new AbortController();
  const waiting = orAborted(new Promise<never>(() => undefined), stop.signal);
  expect(getEventListeners(stop.signal, "abort")).toHaveLength(1);
  stop.abort("enough");
  await expect(waiting).rejects.toBe("enough");
  expect(await orAborted(Promise.resolve(7), new AbortController().signal)).toBe(7);
  expect(getEventListeners(stop.signal, "abort")).toHaveLength(0);
});
