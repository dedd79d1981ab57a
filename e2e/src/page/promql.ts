import type { SyntaxNode } from "@lezer/common";
import { parser } from "@prometheus-io/lezer-promql";

export interface Selector {
  readonly metric: string;
  /** Labels it, or what is grouped around it, names. */
  readonly labels: readonly string[];
}

/** Each selector of a PromQL expression. Throws where it is not PromQL. */
export function selectorsOf(expr: string): readonly Selector[] {
  const selectors: { metric: string; labels: string[] }[] = [];
  const grouping: string[] = [];
  const text = ({ from, to }: SyntaxNode): string => expr.slice(from, to);
  const labelsIn = (node: SyntaxNode): string[] => {
    const found: string[] = [];
    node.cursor().iterate((inner) => {
      if (inner.name === "LabelName" && inner.from >= node.from && inner.to <= node.to) found.push(expr.slice(inner.from, inner.to));
    });
    return found;
  };
  parser.parse(expr).iterate({
    enter: ({ node, name }) => {
      if (node.type.isError) throw new Error(`no PromQL at character ${node.from}: ${expr}`);
      if (name === "VectorSelector") {
        const metric = node.getChild("Identifier");
        const matchers = node.getChild("LabelMatchers");
        selectors.push({ metric: metric === null ? "" : text(metric), labels: matchers === null ? [] : labelsIn(matchers) });
      }
      if (name === "GroupingLabels") grouping.push(...labelsIn(node));
    },
  });
  return selectors.map(({ metric, labels }) => ({ metric, labels: [...labels, ...grouping] }));
}

/** Metric names with the label names of their samples, as one scrape shows them. */
export function registryOf(scrape: string): ReadonlyMap<string, ReadonlySet<string>> {
  const registry = new Map<string, Set<string>>();
  const at = (name: string): Set<string> => {
    const labels = registry.get(name) ?? new Set<string>();
    registry.set(name, labels);
    return labels;
  };
  for (const line of scrape.split("\n")) {
    const declared = /^# TYPE (\S+) (\S+)$/.exec(line);
    if (declared?.[1] !== undefined) {
      at(declared[1]);
      if (declared[2] === "histogram") for (const suffix of ["bucket", "sum", "count"]) at(`${declared[1]}_${suffix}`);
    }
    const sample = /^([a-z_0-9]+)(?:\{(.*)\})? /.exec(line);
    if (sample?.[1] === undefined) continue;
    const labels = at(sample[1]);
    for (const [, label] of (sample[2] ?? "").matchAll(/([a-z_]+)="/g)) if (label !== undefined) labels.add(label);
  }
  return registry;
}
