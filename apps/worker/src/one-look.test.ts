import { HandClock } from "@iexec-ts/testkit";
import { expect, test } from "vitest";
import { oneLook } from "./one-look.ts";

test("what does not answer is told in time and not asked again while it hangs; later it is asked anew", async () => {
  const clock = new HandClock();
  const answers: PromiseWithResolvers<number>[] = [];
  const look = oneLook(
    "the disk of /gone",
    () => {
      const answer = Promise.withResolvers<number>();
      answers.push(answer);
      return answer.promise;
    },
    { ms: 5_000, clock },
  );
  const first = look().catch((thrown: unknown) => thrown);
  await clock.pass(5_000);
  expect(await first).toMatchObject({ code: "WRK-1536", args: { what: "the disk of /gone", seconds: 5 } });
  const second = look();
  expect(answers).toHaveLength(1);
  answers[0]?.resolve(7);
  expect(await second).toBe(7);
  const third = look();
  expect(answers).toHaveLength(2);
  answers[1]?.resolve(8);
  expect(await third).toBe(8);
});

test("a look that fails fails for its asker", async () => {
  const look = oneLook("it", async () => Promise.reject(new Error("no such folder")));
  await expect(look()).rejects.toThrow("no such folder");
});
