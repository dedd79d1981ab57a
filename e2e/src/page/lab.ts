import { freePort } from "@iexec-ts/service";
import type { Browser, BrowserContextOptions } from "playwright-core";
import { type Rig, startRig } from "../rig/rig.ts";
import type { WorkerProcess } from "../rig/worker-process.ts";
import { openBrowser, Visit } from "./browser.ts";

export const DESKTOP: BrowserContextOptions = { viewport: { width: 1280, height: 900 } };
export const PHONE: BrowserContextOptions = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

/** A network, one worker whose page has a known port, and a browser. */
export class PageLab {
  readonly rig: Rig;
  readonly browser: Browser;
  readonly worker: WorkerProcess;
  readonly url: string;

  constructor(rig: Rig, browser: Browser, worker: WorkerProcess, url: string) {
    this.rig = rig;
    this.browser = browser;
    this.worker = worker;
    this.url = url;
  }

  visit(options: BrowserContextOptions = DESKTOP, path = "/"): Promise<Visit> {
    return Visit.to(this.browser, `${this.url}${path}`, options);
  }

  /** What the page itself is drawn from. */
  async json(path: string): Promise<unknown> {
    return (await fetch(`${this.url}${path}`)).json();
  }

  async close(): Promise<void> {
    await this.browser.close();
    await this.rig.close();
  }
}

/** SIDE EFFECTS: starts a network, a worker and a browser. */
export async function openLab(signal: AbortSignal): Promise<PageLab> {
  const browser = await openBrowser();
  try {
    const rig = await startRig({ wallets: 3 }, signal);
    try {
      const port = await freePort();
      const worker = rig.worker({ IEXEC_WORKER_PORT: String(port) }).start();
      const url = `http://127.0.0.1:${port}`;
      await rig.until(
        "the worker's page",
        () =>
          fetch(`${url}/version`).then(
            ({ ok }) => (ok ? true : undefined),
            () => undefined,
          ),
        signal,
      );
      return new PageLab(rig, browser, worker, url);
    } catch (thrown) {
      await rig.close();
      throw thrown;
    }
  } catch (thrown) {
    await browser.close();
    throw thrown;
  }
}
