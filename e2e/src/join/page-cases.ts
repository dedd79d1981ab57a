import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { must } from "../operator/expect.ts";
import { openBrowser, Visit } from "../page/browser.ts";
import type { Scenario } from "../scenario.ts";
import { type BuiltImages, buildImages } from "./images.ts";
import type { JoinWorld } from "./join-world.ts";
import { run } from "./shell.ts";

const LIMIT_MS = 240_000;
/** Where pictures go: docs/run when they are to be renewed. */
const FOLDER = resolve(import.meta.dirname, "../../..", process.env.IEXEC_E2E_PICTURES ?? "out/page");
const DESKTOP = { viewport: { width: 1_000, height: 900 } };
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true };

export const PAGE_CASES: readonly Scenario<JoinWorld>[] = [
  {
    id: "join-page",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const { scheduler } = await world.network(signal);
      const browser = await openBrowser();
      try {
        mkdirSync(FOLDER, { recursive: true });
        for (const [name, screen] of Object.entries({
          desktop: DESKTOP,
          phone: PHONE,
          dark: { ...DESKTOP, colorScheme: "dark" as const },
        })) {
          const visit = await Visit.to(browser, `${scheduler.url}/join`, screen);
          await visit.shows("h1", "Join Worker Pool local");
          await visit.accessible();
          await visit.fits();
          if (name === "desktop") await visit.page.screenshot({ path: join(FOLDER, "join-page.png") });
          visit.clean();
          await visit.close();
        }
        return "accessible (axe) and whole at the width of a desk and of a phone, light and dark; nothing is asked of anybody else, no script runs";
      } finally {
        await browser.close();
      }
    },
  },
  {
    id: "images-again",
    timeoutMs: LIMIT_MS,
    async run(_, signal) {
      // Under names of their own: the other scenarios go on with theirs.
      const words = ["--fresh", "--prefix", "iexec-e2e"];
      const first = await buildImages(signal, words);
      const second = await buildImages(signal, words);
      for (const { name } of Object.values(second)) await run(["docker", "rmi", name], signal);
      const layers = ({ worker, scheduler, "result-proxy": proxy }: BuiltImages) =>
        [worker, scheduler, proxy].flatMap((image) => image.layers).join("\n");
      must(layers(first) === layers(second), "the same sources gave other layers");
      return `${first.worker.layers.length} layers each, the same in two builds from nothing`;
    },
  },
];
