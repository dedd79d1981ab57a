import { existsSync } from "node:fs";
import axe from "axe-core";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { z } from "zod";

const PLACES = [process.env.CHROMIUM_PATH ?? "", "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const PATIENCE_MS = 60_000;

/** SIDE EFFECTS: starts the Chromium of this machine, which `./run` installs where it may. */
export async function openBrowser(): Promise<Browser> {
  const executablePath = PLACES.find((path) => path !== "" && existsSync(path));
  if (executablePath === undefined) throw new Error("there is no Chromium here: apt-get install chromium, or set CHROMIUM_PATH");
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"], timeout: PATIENCE_MS });
}

const violationsSchema = z.array(z.object({ id: z.string(), help: z.string(), nodes: z.array(z.object({ html: z.string() })) }));

/** One page with everything it did that it should not have done. */
export class Visit {
  readonly page: Page;
  readonly #faults: string[] = [];
  readonly #origin: string;

  private constructor(page: Page, origin: string) {
    this.page = page;
    this.#origin = origin;
    page.setDefaultTimeout(PATIENCE_MS);
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") this.#faults.push(`console: ${message.text()}`);
    });
    page.on("pageerror", (error) => this.#faults.push(`error: ${error.message}`));
    page.on("request", (request) => {
      if (new URL(request.url()).origin !== this.#origin) this.#faults.push(`request to a third party: ${request.url()}`);
    });
  }

  /** SIDE EFFECTS: opens `url` in a context of its own. */
  static async to(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Visit> {
    const context = await browser.newContext(options);
    const visit = new Visit(await context.newPage(), new URL(url).origin);
    await visit.page.goto(url);
    return visit;
  }

  /** Waits until the worker's facts are shown. */
  async live(): Promise<this> {
    await this.page.locator('#connection[data-state="live"]').waitFor();
    await this.page.locator("#wallet dl").waitFor();
    return this;
  }

  /** Throws when the page asked somebody else for anything, or the console shows an error. */
  clean(): void {
    if (this.#faults.length > 0) throw new Error(this.#faults.join("; "));
  }

  /** Throws with what is not accessible. @source axe-core, WCAG 2.2 AA and best practices */
  async accessible(): Promise<void> {
    await this.page.evaluate(axe.source);
    const found = violationsSchema.parse(await this.page.evaluate("axe.run().then(({ violations }) => violations)"));
    if (found.length > 0)
      throw new Error(found.map(({ id, help, nodes }) => `${id} (${help}): ${nodes[0]?.html.slice(0, 120)}`).join("; "));
  }

  /** Throws when something is wider than the screen. */
  async fits(): Promise<void> {
    const [wide, screen] = z
      .tuple([z.number(), z.number()])
      .parse(await this.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]"));
    if (wide > screen) throw new Error(`the page is ${wide} wide on a screen of ${screen}`);
  }

  text(selector: string): Promise<string> {
    return this.page
      .locator(selector)
      .allInnerTexts()
      .then((texts) => texts.join("\n"));
  }

  /** Waits until the element holds the text. */
  async shows(selector: string, text: string | RegExp): Promise<void> {
    await this.page.locator(selector).filter({ hasText: text }).first().waitFor();
  }

  async close(): Promise<void> {
    await this.page.context().close();
  }
}
