import { sealOutput } from "@iexec-ts/payload";
import { CONTAINER_INPUT, CONTAINER_OUTPUT, pullTimeoutMs, splitArgs, taskEnvironment } from "@iexec-ts/poco";
import { LABELS, type Limits, type Running, type RunResult, type RunSpec } from "@iexec-ts/sandbox";
import { CodedError, type ErrorCode, hasCode } from "@iexec-ts/service";
import { zeroAddress } from "viem";
import { appImage } from "../app-image.ts";
import { describeTask, hasDataset, type TaskDescription } from "../describe-task.ts";
import { faultFrom, spoilsComputation } from "../faults.ts";
import { createTaskFolders, taskPaths } from "../paths.ts";
import type { Ports } from "../ports.ts";
import type { Replicate } from "../replicate.ts";
import { enter, type StageWork } from "./stage.ts";

const LOG_TAIL = 100_000;
const tail = (text: string): string => text.slice(-LOG_TAIL);

/** Exact name of the app container of a task, so that a restarted worker finds it again. @source compute.md 1.4 */
export const appContainer = (ports: Pick<Ports, "name">, replicate: Pick<Replicate, "taskId">): string =>
  `${ports.name}-${replicate.taskId}`;

/**
 * Runs the app, or re-attaches to the container an earlier run of this worker started, then makes the digest durable.
 *
 * The container is kept until the digest is in the journal: whatever crashes before, the CPU time is not spent twice.
 * SIDE EFFECTS: a container, files; records COMPUTING, then COMPUTED or COMPUTE_FAILED.
 * @source compute.md 1.4, 1.5, 1.9, 2.2
 */
export const compute: StageWork = async (replicate, ports, signal) => {
  enter(replicate, "COMPUTING", ports);
  const { taskId } = replicate;
  const task = await describeTask(replicate, ports.hub);
  const paths = taskPaths(ports.tasksDir, taskId);
  const { outputIsNew } = await createTaskFolders(paths);

  let running: Running;
  let before: string | undefined;
  try {
    await ports.isolation.ready(signal);
    before = await stateOfContainer(replicate, ports);
    // Intent before effect: the deadline is fixed before the container exists. Time that this host's trouble took before is not the app's.
    const fresh = () => new Date(ports.clock.now().getTime() + Number(task.category.period) * 1_000);
    const deadline = (before === undefined ? undefined : replicate.computeDeadline) ?? fresh();
    ports.journal.note(taskId, { computeDeadline: deadline });
    running = await start(containerSpec(replicate, task, deadline, ports), task, ports, signal);
  } catch (thrown) {
    const error = faultFrom(thrown);
    if (signal.aborted || !spoilsComputation(error)) throw error;
    fail(replicate, ports, "APP_COMPUTE_FAILED", `${error.code}: ${error.message}`, undefined);
    return;
  }
  if (running.adopted && outputIsNew) {
    await running.remove();
    throw new CodedError("WRK-1320", { taskId });
  }
  ports.checkpoint("W04");

  let result: RunResult;
  try {
    result = await running.wait(signal);
    if (before === "exited" && endedWithEngine(result))
      throw new CodedError("SBX-1302", { name: appContainer(ports, replicate), exitCode: result.exitCode });
  } catch (thrown) {
    // What is left of it would be taken for the app's own end at the next attempt.
    if (hasCode(thrown, "SBX-1302")) await running.remove();
    // Dropped because the task is over: nobody will harvest it. Whatever else ends this run keeps it for the next one.
    if (signal.aborted && hasCode(signal.reason, "WRK-1309")) await running.remove();
    throw thrown;
  }
  ports.checkpoint("W05");
  await harvest(replicate, task, result, ports, signal);
  await running.remove();
};

/** What the engine says of a container that an earlier run of this worker, or an attempt before this one, left. */
async function stateOfContainer({ taskId }: Replicate, { sandbox, worker }: Ports): Promise<string | undefined> {
  const [found] = await sandbox.list({ [LABELS.worker]: worker, [LABELS.task]: taskId, [LABELS.stage]: "app" });
  return found?.state;
}

/** Starts the container; an image that somebody removed since it was pulled is pulled again first. */
async function start(spec: RunSpec, task: TaskDescription, { sandbox, policy }: Ports, signal: AbortSignal): Promise<Running> {
  try {
    return await sandbox.run(spec, signal);
  } catch (thrown) {
    if (!hasCode(thrown, "SBX-1204")) throw thrown;
    await sandbox
      .pull(spec.image, { timeoutMs: pullTimeoutMs(task.category.period, policy.pullTimeout) }, signal)
      .catch((cause: unknown) => {
        signal.throwIfAborted();
        // It was there for this task: whatever its registry says now, this host lost it.
        throw new CodedError("SBX-1204", { image: spec.image }, { cause });
      });
    return sandbox.run(spec, signal);
  }
}

/** Codes of a container that was stopped from outside: SIGKILL, SIGTERM, and what an engine writes after a hard stop. */
const STOPPED_FROM_OUTSIDE: ReadonlySet<number> = new Set([137, 143, 255]);

/** Found ended, by a signal that no limit sent: the host or its engine went down under it, unless it ends like this again. */
const endedWithEngine = ({ exitCode, oomKilled, timedOut, outputExceeded }: RunResult): boolean =>
  STOPPED_FROM_OUTSIDE.has(exitCode) && !oomKilled && !timedOut && !outputExceeded;

async function harvest(replicate: Replicate, task: TaskDescription, result: RunResult, ports: Ports, signal: AbortSignal): Promise<void> {
  const { taskId } = replicate;
  const paths = taskPaths(ports.tasksDir, taskId);
  const details = {
    exitCode: result.exitCode,
    computeLogs: { stdout: tail(result.stdout.text), stderr: tail(result.stderr.text) },
  };
  const succeeded = result.exitCode === 0 && !result.timedOut;
  try {
    const sealed = await sealOutput(
      {
        outDir: paths.iexecOut,
        zipPath: paths.zip,
        callback: task.deal.callback,
        limits: ports.policy.output,
        onAlive: ports.policy.onSealing,
        extras: {
          stdout: succeeded && result.stdout.text !== "" ? result.stdout.text : undefined,
          stderr: succeeded && result.stderr.text !== "" ? result.stderr.text : undefined,
        },
      },
      signal,
    );
    ports.checkpoint("W06");
    ports.journal.record(taskId, "COMPUTED", {
      details,
      facts: {
        sealed: { digest: sealed.digest, callbackData: sealed.callbackData, zipPath: sealed.zip.path, zipSha256: sealed.zip.sha256 },
      },
    });
    ports.checkpoint("W07");
    ports.log.info("computed", {
      taskId,
      exitCode: result.exitCode,
      containerMs: result.finishedAt.getTime() - result.startedAt.getTime(),
      digest: sealed.digest,
    });
  } catch (thrown) {
    const error = faultFrom(thrown);
    if (signal.aborted || !spoilsComputation(error)) throw error;
    const reason = [endOf(result, ports.policy.limits), error].map((known) => known && `${known.code}: ${known.message}`).filter(Boolean);
    fail(replicate, ports, causeOf(result, error), reason.join("; "), details);
  }
}

/** v9's names for what can be wrong with an output. @source compute.md 2.2 */
const POST_COMPUTE_CAUSES: Readonly<Partial<Record<ErrorCode, string>>> = {
  "PAY-1201": "POST_COMPUTE_TOO_LONG_RESULT_FILE_NAME",
  "PAY-1211": "POST_COMPUTE_COMPUTED_FILE_NOT_FOUND",
  "PAY-1212": "POST_COMPUTE_COMPUTED_FILE_NOT_FOUND",
  "PAY-1213": "POST_COMPUTE_RESULT_DIGEST_COMPUTATION_FAILED",
  "PAY-1214": "POST_COMPUTE_RESULT_DIGEST_COMPUTATION_FAILED",
  "PAY-1215": "POST_COMPUTE_OUT_FOLDER_ZIP_FAILED",
  "PAY-1217": "POST_COMPUTE_OUT_FOLDER_ZIP_FAILED",
};

/** How an app that did not end well ended; the first that applies is what brought it down. */
function endOf(result: RunResult, { memoryBytes, outputBytes }: Limits): CodedError | undefined {
  if (result.timedOut) return new CodedError("SBX-1304");
  if (result.outputExceeded) return new CodedError("SBX-1305", { outputBytes });
  if (result.oomKilled) return new CodedError("SBX-1303", { memoryMib: Math.floor(memoryBytes / 2 ** 20) });
  return result.exitCode === 0 ? undefined : new CodedError("SBX-1306", { exitCode: result.exitCode });
}

/** An app that gave no usable output failed for the first of these reasons. @source compute.md 1.9 */
function causeOf(result: RunResult, error: CodedError): string {
  if (result.timedOut) return "APP_COMPUTE_TIMEOUT";
  if (result.exitCode !== 0) return "APP_COMPUTE_FAILED";
  return POST_COMPUTE_CAUSES[error.code] ?? "POST_COMPUTE_FAILED_UNKNOWN_ISSUE";
}

function fail(
  replicate: Replicate,
  ports: Ports,
  cause: string,
  errorMessage: string,
  details: { exitCode: number; computeLogs: { stdout: string; stderr: string } } | undefined,
): void {
  ports.journal.record(replicate.taskId, "COMPUTE_FAILED", { cause, details: { ...details, errorMessage } });
}

function containerSpec(replicate: Replicate, task: TaskDescription, deadline: Date, ports: Ports): RunSpec {
  const paths = taskPaths(ports.tasksDir, replicate.taskId);
  const { deal, params } = task;
  const dataset = task.dataset !== undefined && hasDataset(task.dataset) ? task.dataset.address : zeroAddress;
  const { argv, unbalanced } = splitArgs(params.args);
  if (unbalanced) ports.log.warn("unbalanced quotes in iexec_args: the image's own command runs", { taskId: replicate.taskId });
  return {
    name: appContainer(ports, replicate),
    image: appImage(task.app, replicate.taskId),
    args: argv,
    env: taskEnvironment(
      {
        dealId: replicate.dealId,
        taskId: replicate.taskId,
        taskIndex: BigInt(replicate.taskIndex),
        botFirst: deal.botFirst,
        botSize: deal.botSize,
        dataset,
        inputFiles: params.inputFiles,
      },
      ports.policy.environment,
    ),
    labels: { [LABELS.worker]: ports.worker, [LABELS.task]: replicate.taskId, [LABELS.stage]: "app" },
    mounts: [
      { host: paths.input, container: CONTAINER_INPUT, readOnly: true },
      { host: paths.iexecOut, container: CONTAINER_OUTPUT, readOnly: false },
    ],
    limits: ports.policy.limits,
    network: ports.policy.network,
    deadline,
  };
}
