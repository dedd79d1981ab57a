import { readFileSync } from "node:fs";
import { openScope } from "@iexec-ts/service";
import { parse } from "yaml";
import { z } from "zod";
import type { Scenario } from "../scenario.ts";
import type { PageLab } from "./lab.ts";
import { registryOf, selectorsOf } from "./promql.ts";
import { askAs } from "./safety-cases.ts";

const FOLDER = new URL("../../../deploy/grafana/", import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, FOLDER), "utf8");

const dashboardSchema = z.object({
  panels: z.array(
    z.object({ id: z.number(), title: z.string(), targets: z.array(z.object({ expr: z.string(), legendFormat: z.string() })) }),
  ),
});
const alertsSchema = z.object({
  groups: z.array(
    z.object({
      rules: z.array(
        z.object({
          alert: z.string(),
          expr: z.string(),
          labels: z.object({ severity: z.enum(["critical", "warning", "info"]) }),
          annotations: z.object({ summary: z.string(), action: z.string() }),
        }),
      ),
    }),
  ),
});

/** Put on by Prometheus, not by the worker. */
const FROM_PROMETHEUS: readonly string[] = ["instance", "job"];
const PROMETHEUS_OWN = "up";
const PROCESS = /^iexec_worker_(process|nodejs)_/;

interface Query {
  readonly where: string;
  readonly expr: string;
  readonly legend: string;
}

function queries(): readonly Query[] {
  const { panels } = dashboardSchema.parse(JSON.parse(read("dashboard.json")));
  const { groups } = alertsSchema.parse(parse(read("alerts.yml")));
  if (new Set(panels.map(({ id }) => id)).size !== panels.length) throw new Error("two panels of the dashboard have one id");
  return [
    ...panels.flatMap(({ title, targets }) =>
      targets.map(({ expr, legendFormat }) => ({ where: `panel ${title}`, expr, legend: legendFormat })),
    ),
    ...groups.flatMap(({ rules }) =>
      rules.map(({ alert, expr, annotations }) => ({
        where: `alert ${alert}`,
        expr,
        legend: annotations.summary.replaceAll("$labels.", "").replaceAll(" ", ""),
      })),
    ),
  ];
}

/** What the dashboard and the alerts ask for and a worker does not say, and the other way round. */
function differences(scrape: string): readonly string[] {
  const registry = registryOf(scrape);
  const faults: string[] = [];
  const used = new Set<string>();
  for (const { where, expr, legend } of queries()) {
    const selectors = selectorsOf(expr);
    const all = new Set(FROM_PROMETHEUS);
    for (const { metric, labels } of selectors) {
      used.add(metric.replace(/_bucket$/, ""));
      const known = registry.get(metric);
      if (metric === PROMETHEUS_OWN) continue;
      if (known === undefined) faults.push(`${where}: no metric ${metric}`);
      for (const label of known ?? []) all.add(label);
      for (const label of labels)
        if (known !== undefined && !known.has(label) && !FROM_PROMETHEUS.includes(label))
          faults.push(`${where}: ${metric} has no label ${label}`);
    }
    for (const [, label = ""] of legend.matchAll(/\{\{([a-z_]+)\}\}/g))
      if (!all.has(label)) faults.push(`${where}: no label ${label} for its legend`);
  }
  for (const name of registry.keys()) {
    const family = name.replace(/_(bucket|sum|count)$/, "");
    if (family.startsWith("iexec_worker_") && !PROCESS.test(family) && !used.has(family)) faults.push(`nothing shows ${family}`);
  }
  return [...new Set(faults)];
}

export const GRAFANA_CASES: readonly Scenario<PageLab>[] = [
  {
    id: "grafana",
    short: true,
    async run(lab, signal) {
      await lab.rig.buyOne("TEXT=metrics");
      // So that there is an error to count.
      await askAs(lab.url, "somebody.example");
      let last: readonly string[] = [];
      using patience = openScope([signal], { ms: 60_000 });
      await lab.rig
        .until(
          "metrics that fit the dashboard",
          async () => {
            last = differences(await (await fetch(`${lab.url}/metrics`)).text());
            return last.length === 0 ? true : undefined;
          },
          patience.signal,
          500,
        )
        .catch(() => {
          throw new Error(last.join("; "));
        });
      return `${queries().length} expressions ask only for what this worker says, and all it says is shown`;
    },
  },
  {
    id: "metrics-shapes",
    async run(lab, signal) {
      // The counters begin with the process, and this one may just have been restarted.
      const taskId = await lab.rig.buyOne("TEXT=counted");
      await lab.rig.untilStatus(taskId, "COMPLETED", signal);
      const aggregated = z
        .object({ durationSamplesCount: z.number(), minDuration: z.any(), maxDuration: z.any(), averageDuration: z.any() })
        .strict();
      const java = z
        .object({
          preComputeDurations: aggregated,
          appComputeDurations: aggregated,
          postComputeDurations: aggregated,
          completeComputeDurations: aggregated,
        })
        .strict();
      const seen = java.parse(await lab.json("/metrics/java"));
      java.parse(await (await fetch(`${lab.url}/metrics`, { headers: { accept: "application/json" } })).json());
      if (seen.appComputeDurations.durationSamplesCount < 1) throw new Error("no computation was counted");
      for (const path of ["/metrics", "/actuator/prometheus"]) {
        const answer = await fetch(`${lab.url}${path}`);
        if (!(answer.headers.get("content-type") ?? "").startsWith("text/plain")) throw new Error(`${path} is not Prometheus text`);
      }
      const health = z.object({ status: z.literal("UP") }).safeParse(await lab.json("/actuator/health"));
      if (!health.success) throw new Error("not healthy");
      return "Prometheus text, the Java worker's JSON, health";
    },
  },
];
