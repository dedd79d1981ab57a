import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { spawnOwned } from "@iexec-ts/testkit";
import type { Scenario } from "../scenario.ts";
import { ansiToHtml } from "./ansi.ts";
import { DESKTOP, type PageLab, PHONE } from "./lab.ts";

/** Where pictures go: docs/run when they are to be renewed. */
const FOLDER = resolve(import.meta.dirname, "../../..", process.env.IEXEC_E2E_PICTURES ?? "out/page");
const COLUMNS = 110;

/** What a command shows at a terminal, colours and all: `script` gives it one. */
function atTerminal(lab: PageLab, words: readonly string[]): Promise<string> {
  const line = [process.execPath, lab.worker.program, ...words].join(" ");
  const child = spawnOwned("script", ["-qec", line, "/dev/null"], {
    env: { PATH: process.env.PATH ?? "", TERM: "xterm-256color", COLUMNS: String(COLUMNS), ...lab.worker.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  return new Promise((done, fail) => {
    child.once("error", fail);
    child.once("close", () => done(out.replaceAll("\r\n", "\n")));
  });
}

/** SIDE EFFECTS: writes the picture of a terminal with this text. */
async function picture(lab: PageLab, name: string, command: string, text: string): Promise<void> {
  const context = await lab.browser.newContext({ viewport: { width: 940, height: 200 } });
  const page = await context.newPage();
  await page.setContent(
    `<body style="margin:0;background:#14191f"><pre style="margin:0;padding:14px 18px;color:#dfe5ec;font:13px/1.45 'DejaVu Sans Mono',monospace;white-space:pre-wrap"><span style="color:#8f9aa6">$ ${command}</span>\n${ansiToHtml(text)}</pre></body>`,
  );
  await page.locator("pre").screenshot({ path: join(FOLDER, `${name}.png`) });
  await context.close();
}

export const PICTURE_CASES: readonly Scenario<PageLab>[] = [
  {
    id: "pictures",
    timeoutMs: 240_000,
    async run(lab, signal) {
      mkdirSync(FOLDER, { recursive: true });
      const done = await lab.rig.buyOne("TEXT=first");
      await lab.rig.untilStatus(done, "COMPLETED", signal);
      for (const words of [["why-idle"], ["doctor"]])
        await picture(lab, words.join("-"), `iexec-worker ${words.join(" ")}`, await atTerminal(lab, words));
      const taskId = await lab.rig.buyOne("SLEEP=25");
      await lab.rig.untilStatus(taskId, "COMPUTING", signal);
      const desktop = await (await lab.visit(DESKTOP)).live();
      const phone = await (await lab.visit(PHONE)).live();
      for (const visit of [desktop, phone]) await visit.shows("#truth", "Working on 1 task. Earned");
      await desktop.page.screenshot({ path: join(FOLDER, "page-desktop.png"), fullPage: true });
      await phone.page.screenshot({ path: join(FOLDER, "page-phone.png") });
      await picture(lab, "status", "iexec-worker status", await atTerminal(lab, ["status"]));
      await Promise.all([desktop.close(), phone.close()]);
      await lab.rig.untilStatus(taskId, "COMPLETED", signal);
      return `5 pictures in ${FOLDER}`;
    },
  },
];
