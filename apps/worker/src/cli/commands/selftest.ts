import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { sealOutput } from "@iexec-ts/payload";
import { CONTAINER_OUTPUT } from "@iexec-ts/poco";
import type { DockerSandbox } from "@iexec-ts/sandbox";
import { CodedError, openScope, replaceFile } from "@iexec-ts/service";
import { zeroAddress } from "viem";
import { slotsOf } from "../../host-check.ts";
import { taskPolicy } from "../../task-policy.ts";
import { VERSION } from "../../version.ts";
import { type Context, type Input, switchOption } from "../context.ts";
import { networkFacts, withChain } from "../facts/chain-facts.ts";
import { type LocalFacts, localFacts } from "../facts/local-facts.ts";
import { EXIT, type Report } from "../report.ts";
import { exact, span } from "../view/time.ts";
import { withSandbox } from "./image.ts";

interface Step {
  readonly id: string;
  readonly title: string;
  /** Returns what was seen; throws when it does not work. */
  run(): Promise<string>;
}
interface Line {
  readonly id: string;
  readonly title: string;
  readonly ok: boolean;
  readonly seen: string;
  readonly fix: string | undefined;
  readonly ms: number;
}

/** What the tiny app writes, and the digest it must get: sha-256 of exactly these bytes. */
export const VECTOR = {
  text: "iexec-ts self-test",
  digest: "0x820a5666093e9ec19eab6fbabbc34443b7dcafe1a66cf6661c13cd7029319bf7",
} as const;
const APP = `printf '%s' '${VECTOR.text}' > ${CONTAINER_OUTPUT}/result.txt
printf '{"deterministic-output-path":"${CONTAINER_OUTPUT}/result.txt"}' > ${CONTAINER_OUTPUT}/computed.json`;
const RUN_MS = 120_000;
const CALL_MS = 10_000;

const failed = (what: string, fix: string) => new CodedError("WRK-1550", { what, fix });

/**
 * Proves that this machine can do a task, whether its worker runs or not.
 *
 * SIDE EFFECTS: runs containers and removes them; writes `selftest.json` to the state directory.
 */
export async function selftest(context: Context, input: Input): Promise<Report> {
  const isolation = switchOption(input, "isolation");
  const full = switchOption(input, "full");
  const facts = await localFacts(context);
  const lines = await withSandbox(context, async (sandbox) => {
    const done: Line[] = [];
    for (const step of [
      engineStep(context, sandbox),
      ...(isolation || full ? [isolationStep(context, sandbox)] : []),
      ...(full ? [taskStep(context, sandbox)] : []),
      ...(isolation && !full ? [] : [chainStep(context, facts), proxyStep(context, facts)]),
    ]) {
      context.signal.throwIfAborted();
      context.tell(`  ${step.title}...`);
      done.push(await runStep(context, step));
    }
    return done;
  });
  const ok = lines.every((line) => line.ok);
  const at = context.clock.now();
  const receipt = {
    id: randomUUID(),
    at: exact(at),
    version: VERSION,
    node: process.version,
    cpus: availableParallelism(),
    wallet: facts.wallet ?? null,
    passed: ok,
    checks: lines.map(({ fix, ...line }) => ({ ...line, fix: fix ?? null })),
  };
  const path = join(context.settings.stateDir, "selftest.json");
  await mkdir(context.settings.stateDir, { recursive: true, mode: 0o755 });
  await replaceFile(path, `${JSON.stringify(receipt, undefined, 2)}\n`, { mode: 0o644 });
  const width = Math.max(...lines.map(({ title }) => title.length));
  return {
    data: { receipt: path, ...receipt },
    text: (style) =>
      [
        ...lines.flatMap((line) => [
          `${style.mark(line.ok ? "ok" : "bad")} ${line.ok ? "PASS" : "FAIL"}  ${line.title.padEnd(width)}  ${line.seen}  ${style.faint(span(line.ms))}`,
          ...(line.fix === undefined ? [] : [`         ${" ".repeat(width)}  -> ${line.fix}`]),
        ]),
        "",
        ok
          ? `${style.mark("ok")} ${style.strong("This machine can do a task")}`
          : `${style.mark("bad")} ${style.strong("This machine cannot do a task yet")}`,
        `   receipt ${receipt.id} in ${path}`,
      ].join("\n"),
    exit: ok ? EXIT.ok : EXIT.operator,
    next: [ok ? "iexec-worker status" : "iexec-worker doctor"],
  };
}

async function runStep({ clock }: Context, { id, title, run }: Step): Promise<Line> {
  const from = clock.monotonicMs();
  const ms = () => Math.round(clock.monotonicMs() - from);
  try {
    return { id, title, ok: true, seen: await run(), fix: undefined, ms: ms() };
  } catch (thrown) {
    const error = CodedError.from(thrown);
    return { id, title, ok: false, seen: `${error.code} ${error.message}`, fix: error.fix, ms: ms() };
  }
}

const engineStep = ({ signal }: Context, sandbox: DockerSandbox): Step => ({
  id: "engine",
  title: "Docker",
  async run() {
    const { version, runtime } = await sandbox.inspectEngine(signal);
    return `${version}, runtime ${runtime}`;
  },
});

const isolationStep = ({ settings, signal }: Context, sandbox: DockerSandbox): Step => ({
  id: "isolation",
  title: "isolation",
  async run() {
    const labels = { "iexec.selftest": "isolation" };
    const proof = await sandbox.prove({ network: settings.network, labels, fallbackImage: settings.probeImage }, signal);
    const holes = proof.limits.filter(({ proven }) => !proven);
    if (!proof.proven)
      throw failed(
        holes.map(({ limit, seen }) => `${limit}: ${seen}`).join("; "),
        "see docs/security.md for what each limit needs of the host",
      );
    return `${proof.limits.map(({ limit }) => limit).join(", ")} proved with ${proof.runtime}`;
  },
});

const taskStep = ({ settings, clock, signal }: Context, sandbox: DockerSandbox): Step => ({
  id: "task",
  title: "tiny task",
  async run() {
    const labels = { "iexec.selftest": "task" };
    await mkdir(settings.baseDir, { recursive: true, mode: 0o755 });
    const folder = await mkdtemp(join(settings.baseDir, "selftest-"));
    try {
      const outDir = join(folder, "out");
      await mkdir(outDir, { mode: 0o777 });
      const policy = taskPolicy(settings, slotsOf(settings));
      return await sandbox.withProbeImage(
        { labels, fallbackImage: settings.probeImage },
        async (image) => {
          const running = await sandbox.run(
            {
              name: `iexec-selftest-${randomUUID()}`,
              image,
              args: ["/bin/sh", "-c", APP],
              env: { PATH: "/bin:/usr/bin" },
              labels,
              mounts: [{ host: outDir, container: CONTAINER_OUTPUT, readOnly: false }],
              limits: policy.limits,
              network: "none",
              deadline: new Date(clock.now().getTime() + RUN_MS),
            },
            signal,
          );
          try {
            const result = await running.wait(signal);
            if (result.exitCode !== 0)
              throw failed(
                `the app ended with ${result.exitCode}: ${result.stderr.text.slice(0, 200)}`,
                "iexec-worker selftest --isolation",
              );
            const sealed = await sealOutput(
              {
                outDir,
                zipPath: join(folder, "result.zip"),
                callback: zeroAddress,
                limits: policy.output,
                extras: { stdout: undefined, stderr: undefined },
              },
              signal,
            );
            if (sealed.digest !== VECTOR.digest) throw failed(`digest ${sealed.digest}, not ${VECTOR.digest}`, "report this: it is a bug");
            return `computed, sealed, digest as expected (${VECTOR.digest.slice(0, 12)}..)`;
          } finally {
            await running.remove();
          }
        },
        signal,
      );
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
});

const chainStep = (context: Context, { journal }: LocalFacts): Step => ({
  id: "chain",
  title: "chain",
  run: () => withChain(context, journal, async ({ pool, network }) => `chain ${network.chainId}, block ${pool.head().number}`),
});

const proxyStep = (context: Context, { journal }: LocalFacts): Step => ({
  id: "result-proxy",
  title: "result proxy",
  async run() {
    const { resultProxy } = await networkFacts(context, journal);
    using limit = openScope([context.signal], { ms: CALL_MS });
    // Any answer will do: it is asked for a result that nobody has.
    const answer = await fetch(`${resultProxy}/v1/results/0x${"0".repeat(64)}/ipfshash`, { signal: limit.signal }).catch(
      (thrown: unknown) => {
        context.signal.throwIfAborted();
        throw failed(
          `${resultProxy} does not answer: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
          "check the network, then ask the workerpool's operator",
        );
      },
    );
    await answer.body?.cancel();
    if (answer.status >= 500) throw failed(`${resultProxy} answers ${answer.status}`, "ask the workerpool's operator");
    return `${resultProxy} answers`;
  },
});
