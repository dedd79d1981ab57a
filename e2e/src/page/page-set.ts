import type { ScenarioSet } from "../scenario.ts";
import { GRAFANA_CASES } from "./grafana-cases.ts";
import { openLab, type PageLab } from "./lab.ts";
import { LIVE_CASES } from "./live-cases.ts";
import { PICTURE_CASES } from "./picture-cases.ts";
import { SAFETY_CASES } from "./safety-cases.ts";

/** The worker's page in a real browser, with a real worker behind it. */
export const pageSet: ScenarioSet<PageLab> = {
  name: "page",
  summary: "the worker's page in a real browser, while the worker works",
  async open(signal) {
    const lab = await openLab(signal);
    return { context: lab, close: () => lab.close() };
  },
  scenarios: [...LIVE_CASES, ...SAFETY_CASES, ...GRAFANA_CASES, ...PICTURE_CASES],
};
