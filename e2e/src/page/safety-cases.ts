import { request } from "node:http";
import { z } from "zod";
import type { Scenario } from "../scenario.ts";
import type { PageLab } from "./lab.ts";

const expect = (what: string, isSo: boolean): void => {
  if (!isSo) throw new Error(`expected: ${what}`);
};

const HOSTILE = `</script><img src=x onerror="window.owned=1"><svg onload=window.owned=1>"'\u202e\u0000&lt;b&gt;`;

/** Every text of the facts replaced by a hostile one; what the page branches on stays. */
function poison(value: unknown, key = ""): unknown {
  if (typeof value === "string")
    return /^(at|since|startedAt|until|mark|level|what|taskId|health|state|wallet|workerpool)$/.test(key) ? value : HOSTILE;
  if (Array.isArray(value)) return value.map((item) => poison(item));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, poison(item, name)]));
}

/** What a request under another host name gets. */
export const askAs = (url: string, host: string): Promise<{ readonly status: number; readonly body: string }> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    request({ hostname, port, path: "/v1/overview", headers: { host } }, (answer) => {
      let body = "";
      answer.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, body }));
    })
      .on("error", reject)
      .end();
  });

export const SAFETY_CASES: readonly Scenario<PageLab>[] = [
  {
    id: "hostile-texts",
    short: true,
    async run(lab) {
      const facts = z.record(z.string(), z.unknown()).parse(await lab.json("/v1/overview"));
      const visit = await lab.visit();
      await visit.page.route("**/v1/events", (route) =>
        route.fulfill({ contentType: "text/event-stream", body: `event: overview\ndata: ${JSON.stringify(poison(facts))}\n\n` }),
      );
      await visit.page.reload();
      await visit.shows("#needs, #machine, #status", "onerror=");
      expect("nothing of it ran", (await visit.page.evaluate("window.owned")) === undefined);
      expect("nothing of it became an element", (await visit.page.locator("main img, main svg, main script, main b").count()) === 0);
      await visit.close();
      return "texts from strangers stay texts";
    },
  },
  {
    id: "headers",
    async run(lab) {
      const answer = await fetch(`${lab.url}/`);
      const policy = answer.headers.get("content-security-policy") ?? "";
      expect("a policy that allows nothing from elsewhere", policy.includes("default-src 'none'") && !policy.includes("unsafe"));
      expect("no inline script or style", !/<script(?![^>]*src=)|<style|style=|onclick/i.test(await answer.text()));
      const rebound = await askAs(lab.url, "evil.example:80");
      expect("another host name is refused with its code", rebound.status === 409 && rebound.body.includes("WRK-1603"));
      expect("localhost is answered", (await askAs(lab.url, "localhost:13100")).status === 200);
      for (const path of ["/assets/config.ts", "/assets/page/../config.ts", "/assets/%2e%2e/package.json", "/assets/page/routes.ts"])
        expect(`${path} is not served`, (await fetch(`${lab.url}${path}`)).status === 404);
      for (const method of ["POST", "PUT", "DELETE"])
        expect(`${method} does nothing`, (await fetch(`${lab.url}/v1/tasks`, { method })).status === 404);
      return "strict policy, own host names only, only the page's files, read only";
    },
  },
  {
    id: "no-secret",
    async run(lab) {
      const secrets = [
        lab.worker.env.IEXEC_WORKER_WALLET_PASSWORD ?? "",
        ...Object.values(lab.worker.env).filter((value) => /^0x[0-9a-f]{64}$/.test(value)),
      ];
      const paths = [
        "/",
        "/v1/overview",
        "/v1/status",
        "/v1/tasks",
        "/metrics",
        "/metrics/java",
        "/actuator/health",
        "/openapi.json",
        "/version",
      ];
      for (const path of paths) {
        const text = await (await fetch(`${lab.url}${path}`)).text();
        for (const secret of secrets.filter((value) => value !== "")) expect(`no secret in ${path}`, !text.includes(secret));
      }
      return `${paths.length} answers without a secret`;
    },
  },
  {
    id: "many-pages",
    async run(lab) {
      const streams: AbortController[] = [];
      try {
        const open = async () => {
          const stop = new AbortController();
          streams.push(stop);
          return (await fetch(`${lab.url}/v1/events`, { signal: stop.signal })).status;
        };
        const statuses = [];
        for (let n = 0; n < 40; n += 1) statuses.push(await open());
        const served = statuses.filter((status) => status === 200).length;
        // A browser that has just gone may still hold a place.
        expect(`about 32 are served, not ${served}`, served <= 32 && served >= 28);
        expect("the others are told to wait", statuses.filter((status) => status === 503).length === statuses.length - served);
      } finally {
        for (const stop of streams) stop.abort();
      }
      const visit = await (await lab.visit()).live();
      await visit.close();
      return "32 pages at once, then a refusal, then again";
    },
  },
];
