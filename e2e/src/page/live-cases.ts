import { spawnOwned } from "@iexec-ts/testkit";
import { z } from "zod";
import type { Scenario } from "../scenario.ts";
import { type PageLab, PHONE } from "./lab.ts";

const expect = (what: string, isSo: boolean): void => {
  if (!isSo) throw new Error(`expected: ${what}`);
};

const overviewSchema = z.object({
  wallet: z.object({ free: z.string(), locked: z.string(), score: z.string() }),
  today: z.object({ earned: z.string(), net: z.string(), tasks: z.number() }),
  needs: z.array(z.object({ text: z.string() })),
  idle: z.object({ reasons: z.array(z.object({ text: z.string() })) }),
});

/** One answer of the operator's command, run beside the worker. */
async function cli(lab: PageLab, words: readonly string[]): Promise<Record<string, unknown>> {
  const child = spawnOwned(process.execPath, [lab.worker.program, ...words, "--json"], {
    env: { PATH: process.env.PATH ?? "", ...lab.worker.env },
    stdio: ["ignore", "pipe", "ignore"],
  });
  let out = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  await new Promise((resolve) => child.once("close", resolve));
  return z.record(z.string(), z.unknown()).parse(JSON.parse(out.trim().split("\n").at(-1) ?? ""));
}

const nano = (rlc: string): bigint => {
  const [whole = "0", fraction = ""] = rlc.replace(" RLC", "").split(".");
  return BigInt(whole + fraction.padEnd(9, "0"));
};

export const LIVE_CASES: readonly Scenario<PageLab>[] = [
  {
    id: "live-task",
    short: true,
    async run(lab, signal) {
      const visit = await (await lab.visit()).live();
      await visit.page.evaluate("window.sameDocument = true");
      await visit.shows("#truth", /Nothing needs you|need/);
      const taskId = await lab.rig.buyOne("SLEEP=3");
      const row = `#tasks a[href="#task/${taskId}"]`;
      await visit.page.locator(row).waitFor();
      await visit.shows("#truth", "Working on 1 task.");
      await visit.shows("#status", "1 of");
      await visit.shows(`#tasks li:has(a[href="#task/${taskId}"])`, "COMPLETED");
      await visit.shows("#truth", /Earned [\d.]+ RLC today/);
      await lab.rig.untilStatus(taskId, "COMPLETED", signal);
      expect("the page was never loaded again", (await visit.page.evaluate("window.sameDocument")) === true);
      visit.clean();
      await visit.accessible();
      await visit.close();
      return "a task appeared, moved on and was paid before the reader's eyes";
    },
  },
  {
    id: "phone-360",
    short: true,
    async run(lab) {
      const seen: string[] = [];
      for (const colorScheme of ["light", "dark"] as const) {
        const visit = await (await lab.visit({ ...PHONE, colorScheme })).live();
        await visit.fits();
        await visit.accessible();
        for (const title of ["Needs you", "Status", "Wallet", "Earnings today", "Tasks", "Why idle", "Machine"])
          await visit.page.getByRole("heading", { name: title, exact: true }).waitFor();
        visit.clean();
        await visit.close();
        seen.push(colorScheme);
      }
      return `fits 360 px, accessible, ${seen.join(" and ")}`;
    },
  },
  {
    id: "desktop-dark",
    async run(lab) {
      const visit = await (
        await lab.visit({ viewport: { width: 1280, height: 900 }, colorScheme: "dark", reducedMotion: "reduce" })
      ).live();
      await visit.fits();
      await visit.accessible();
      visit.clean();
      await visit.close();
      return "fits, accessible, no request to others";
    },
  },
  {
    id: "task-detail-keyboard",
    async run(lab, signal) {
      const taskId = await lab.rig.buyOne("TEXT=detail");
      await lab.rig.untilStatus(taskId, "COMPLETED", signal);
      const visit = await (await lab.visit()).live();
      await visit.page.locator(`#tasks a[href="#task/${taskId}"]`).focus();
      await visit.page.keyboard.press("Enter");
      for (const status of ["CREATED", "COMPUTING", "REVEALED", "COMPLETED"]) await visit.shows(".timeline", status);
      await visit.shows("#task", "contribute");
      expect("the overview is put away", !(await visit.page.locator("#overview").isVisible()));
      await visit.accessible();
      await visit.page.goBack();
      await visit.page.locator("#overview").waitFor();
      visit.clean();
      await visit.close();
      const deep = await lab.visit(PHONE, `/#task/${taskId}`);
      await deep.shows("#task", taskId);
      await deep.fits();
      await deep.close();
      return "opened with the keyboard, left with back, and opened again by its address on a phone";
    },
  },
  {
    id: "same-facts-as-cli",
    async run(lab, signal) {
      const taskId = await lab.rig.buyOne("TEXT=facts");
      await lab.rig.untilStatus(taskId, "COMPLETED", signal);
      const visit = await (await lab.visit()).live();
      // The chain's events of the last task may be read a moment later than its status.
      const page = await lab.rig.until(
        "the page and `earnings` agree",
        async () => {
          const seen = overviewSchema.parse(await lab.json("/v1/overview"));
          const earned = z
            .object({ rows: z.array(z.object({ key: z.string(), earnedNano: z.string(), netNano: z.string(), tasks: z.number() })) })
            .parse(await cli(lab, ["earnings"]))
            .rows.find(({ key }) => key === new Date().toISOString().slice(0, 10));
          const agree =
            earned !== undefined &&
            nano(seen.today.earned) === BigInt(earned.earnedNano) &&
            nano(seen.today.net) === BigInt(earned.netNano) &&
            seen.today.tasks === earned.tasks;
          return agree ? seen : undefined;
        },
        signal,
        500,
      );
      const status = z
        .object({
          money: z.object({ freeNano: z.string(), lockedNano: z.string(), score: z.string() }),
          needs: z.array(z.object({ text: z.string() })),
        })
        .parse(await cli(lab, ["status"]));
      expect("the same free stake", nano(page.wallet.free) === BigInt(status.money.freeNano));
      expect("the same locked stake", nano(page.wallet.locked) === BigInt(status.money.lockedNano));
      expect("the same score", page.wallet.score === status.money.score);
      expect("the same needs", JSON.stringify(page.needs.map(({ text }) => text)) === JSON.stringify(status.needs.map(({ text }) => text)));
      const idle = z.object({ reasons: z.array(z.object({ text: z.string() })) }).parse(await cli(lab, ["why-idle"]));
      expect(
        "the same reasons",
        JSON.stringify(page.idle.reasons.map(({ text }) => text)) === JSON.stringify(idle.reasons.map(({ text }) => text)),
      );
      await visit.close();
      return "status, why-idle and earnings say to the nRLC what the page says";
    },
  },
  {
    id: "stale-and-back",
    async run(lab) {
      const visit = await (await lab.visit()).live();
      lab.worker.freeze();
      try {
        await visit.shows("#connection", /connection lost; these facts are from .* ago/);
        expect("the facts stay", (await visit.text("#wallet")).includes("RLC"));
      } finally {
        lab.worker.thaw();
      }
      await visit.live();
      await visit.close();
      return "a frozen worker shows as lost with the age of its facts, and comes back by itself";
    },
  },
  {
    id: "restart",
    timeoutMs: 180_000,
    async run(lab, signal) {
      await lab.rig.untilStatus(await lab.rig.buyOne("TEXT=restart"), "COMPLETED", signal);
      const visit = await (await lab.visit()).live();
      await visit.page.evaluate("window.sameDocument = true");
      await lab.worker.stop();
      await visit.shows("#connection", "connection lost");
      lab.worker.start();
      await visit.live();
      expect("the page was never loaded again", (await visit.page.evaluate("window.sameDocument")) === true);
      await visit.shows("#tasks", "COMPLETED");
      await visit.close();
      return "the page found the restarted worker by itself, with its tasks";
    },
  },
  {
    id: "needs-you",
    async run(lab) {
      await cli(lab, ["pause"]);
      const visit = await (await lab.visit()).live();
      await visit.shows("#state", "PAUSED");
      await visit.shows("#idle", /paused/i);
      await visit.accessible();
      await cli(lab, ["resume"]);
      await visit.shows("#state", "RUNNING");
      visit.clean();
      await visit.close();
      return "a pause shows at once, and its end too";
    },
  },
];
