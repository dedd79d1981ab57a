import { arch, totalmem, type } from "node:os";
import { join } from "node:path";
import { lowerHex } from "@iexec-ts/poco";
import { createDockerSandbox, fileImageUses, LABELS } from "@iexec-ts/sandbox";
import {
  backoff,
  Closers,
  CodedError,
  countErrors,
  createMetrics,
  createWatchdog,
  openScope,
  systemClock,
  systemRandom,
} from "@iexec-ts/service";
import type { SchedulerConnection } from "@iexec-ts/wire";
import { openChain } from "./chain-side.ts";
import { schedulerUrl } from "./config.ts";
import { checkContainerMounts } from "./container-check.ts";
import { controlActions } from "./control/actions.ts";
import type { Desk } from "./control/desk.ts";
import { fixedSettings } from "./control/live-settings.ts";
import { Operation, type Refusal } from "./control/operation.ts";
import { serveControl } from "./control/server.ts";
import { socketPath } from "./control/wire.ts";
import { engineAt, registryCredentials } from "./engine-settings.ts";
import { checkHost, diskRefusal, slotsOf, writable } from "./host-check.ts";
import { IsolationGuard } from "./isolation.ts";
import { keptMib } from "./manners/disk.ts";
import { linuxHost } from "./manners/host-facts.ts";
import { watchManners } from "./manners/manners.ts";
import { networkNamedBy, recallNetwork, rememberNetwork } from "./network-memory.ts";
import { ReplicateEngine } from "./replicate/engine.ts";
import { Journal } from "./replicate/journal.ts";
import type { Ports } from "./replicate/ports.ts";
import { recover } from "./replicate/recover.ts";
import { appContainer } from "./replicate/stages/compute.ts";
import { tellUnhappy } from "./replicate/unhappy.ts";
import { connectPatiently } from "./session/connect.ts";
import { slotsInUse } from "./session/demand.ts";
import { takeIn } from "./session/intake.ts";
import { joinPool, type Membership } from "./session/membership.ts";
import { createResultProxyClient } from "./session/result-proxy-client.ts";
import { type Standing, type StuckTask, stuckTasks } from "./standing.ts";
import { taskPolicy } from "./task-policy.ts";
import { lookForTee } from "./tee/sight.ts";
import { teeOf } from "./tee/tee.ts";
import { VERSION } from "./version.ts";
import { lockWallet } from "./wallet-lock.ts";
import { refuseChangedWallet, rememberName } from "./wallet-memory.ts";
import type { WorkerDeps, WorkerHandle, WorkerOptions } from "./worker-api.ts";

const UPLOAD_TIMEOUT_MS = 60_000;
const JOIN_GRACE_MS = 2_000;
/** What a loop may take to end; less than a part of the worker may. */
export const LOOP_GRACE_MS = 3_000;

/**
 * Starts a worker: goes on with what an earlier run left, joins its workerpool, then asks for tasks.
 *
 * With a journal from an earlier run it starts on the chain at once, whether its scheduler answers or not: what was contributed is revealed
 * from the journal and one node alone. At the very first start it waits for its scheduler, which names the network.
 *
 * SIDE EFFECTS: locks the wallet, opens the journal, connects to the scheduler, the chain and the Docker Engine.
 * Errors: WRK-10xx (host, lock, pool), SBX-1001 (Docker), CHN-… (nodes), WIR-… (a scheduler that refuses).
 */
export async function startWorker({ settings, account }: WorkerOptions, deps: WorkerDeps): Promise<WorkerHandle> {
  const { clock = systemClock, random = systemRandom, checkpoint = () => undefined, live = fixedSettings(settings) } = deps;
  const metrics = createMetrics("iexec_worker_", { withProcess: true });
  const log = countErrors(deps.log, metrics);
  const { watchdog = createWatchdog({ clock, log, random, graceMs: LOOP_GRACE_MS }) } = deps;
  const closers = new Closers({ clock, hangAt: deps.hangAt });
  const stop = new AbortController();
  let closing: Promise<void> | undefined;
  const close = (signal?: AbortSignal): Promise<void> => {
    stop.abort(new CodedError("WRK-1313"));
    closing ??= closers.close(signal);
    return closing;
  };
  const starting = openScope([stop.signal, deps.signal]).signal;
  const newBackoff = () => backoff({ baseMs: 250, maxMs: 15_000 }, random);

  try {
    const worker = lowerHex(account.address);
    const tasksDir = join(settings.baseDir, settings.name);
    checkHost();
    await writable(settings.stateDir, "IEXEC_WORKER_STATE_DIR");
    await writable(tasksDir, "IEXEC_WORKER_BASE_DIR");
    const lock = lockWallet(join(settings.stateDir, `${worker}.lock`), worker);
    closers.add("wallet lock", () => lock.release());
    refuseChangedWallet(settings.stateDir, settings.name, worker);
    const journal = new Journal(join(settings.stateDir, `${worker}.sqlite`), worker, () => clock.now());
    closers.add("journal", () => journal.shut());
    rememberName(journal.db, settings.name);
    journal.onChange(({ status }) => checkpoint(`status:${status}`));
    tellUnhappy(journal, log);
    const tee = teeOf(settings, await lookForTee(deps.hostRoot));
    for (const error of tee.problems) log.warn("no trusted execution", { error });
    const operation = new Operation(journal.db, clock);
    closers.add("operation", () => operation.close());
    let refusal: Refusal | undefined;
    let stuck: () => readonly StuckTask[] = () => [];
    const standing = (): Standing => ({ stalls: watchdog.stalls(), stuck: stuck() });
    const desk: Desk = {
      worker,
      journal,
      operation,
      live,
      clock,
      log,
      stop: deps.stop ?? (() => void close()),
      refusal: () => refusal,
      standing,
      joined: false,
      work: undefined,
    };
    await openControl(desk);
    const uses = fileImageUses(join(settings.stateDir, "images.json"));
    const sandbox = createDockerSandbox(
      {
        ...engineAt(settings.dockerSocket),
        ...(deps.ownContainer === undefined ? {} : { ownContainer: deps.ownContainer }),
        runtime: settings.runtime,
        decode: settings.strictJava ? "frames" : "stream",
        registryCredentials: registryCredentials(settings),
      },
      { clock, logger: log, random: () => random.float(), imageUses: uses, watchdog },
    );
    closers.add("sandbox", () => sandbox.close());
    if (deps.ownContainer !== undefined)
      for (const advice of await checkContainerMounts(settings, deps.ownContainer, sandbox, starting))
        log.warn("in this container", { advice });
    const connecting = connectPatiently(
      { url: schedulerUrl(settings), account, dialect: settings.dialect, version: settings.announceVersion ?? VERSION },
      { clock, random, log, backoff: newBackoff, watchdog, signal: starting },
    );
    connecting.catch(() => undefined);
    // Also a link that was made and then refused would keep the process alive.
    closers.add("scheduler link", () =>
      connecting.then(
        (made) => made.close(),
        () => undefined,
      ),
    );
    const engineReport = await sandbox.inspectEngine(starting);
    for (const limit of engineReport.ignoredLimits) log.warn("the engine ignores a limit", { limit });
    for (const weakness of engineReport.weaknesses) log.warn("the engine could protect this host better", { weakness });

    if (settings.network === "isolated" && !(await sandbox.guardEgress(starting))) {
      log.warn(
        "apps may reach this host's private networks: the firewall rules could not be set; run as root or set IEXEC_WORKER_TASK_NETWORK=none",
      );
    }
    const isolation = new IsolationGuard(
      {
        path: join(settings.baseDir, "isolation.json"),
        network: settings.network,
        labels: { [LABELS.worker]: worker, [LABELS.stage]: "probe" },
        probeImage: settings.probeImage,
        allowUnproved: settings.allowUnproved,
      },
      { sandbox, clock, log, backoff: newBackoff, watchdog },
    );
    closers.add("isolation", () => isolation.close());

    const known = recallNetwork(journal.db);
    const network = known ?? networkNamedBy(await connecting, settings);
    const chain = await openChain(network, { settings, live, account, db: journal.db }, { clock, random, log, checkpoint, watchdog });
    closers.add("chain", () => chain.close());
    const results = createResultProxyClient({ account, defaultUrl: network.resultProxy, timeoutMs: UPLOAD_TIMEOUT_MS });
    closers.add("result proxy", () => results.close());

    const slots = () => slotsOf(live.current);
    const manners = watchManners(() => live.current, deps.host ?? linuxHost(), {
      clock,
      ownCpus: () => slotsInUse(journal),
      usedMib: (budget) => keptMib(budget, { tasksDir, sandbox, uses }),
    });
    const confirmations = BigInt(settings.confirmations);
    const ports: Ports = {
      name: settings.name,
      worker,
      tasksDir,
      journal,
      ...chain,
      sandbox,
      isolation,
      results,
      get policy() {
        return taskPolicy(live.current, slots());
      },
      confirmations,
      clock,
      log,
      checkpoint,
    };
    const { promise: halted, resolve: halt } = Promise.withResolvers<CodedError>();
    let membership: Membership | undefined;
    let link: SchedulerConnection | undefined;
    const stopAll = (error: CodedError) => {
      log.error("the worker takes no more tasks", { error });
      membership?.stopAsking(error);
      halt(error);
    };
    const engine = new ReplicateEngine(ports, { onAlarm: stopAll, backoff: newBackoff, watchdog });
    closers.add("replicates", () => engine.close());
    desk.work = { engine, ports: { ...chain, worker } };
    stuck = () => stuckTasks(journal.unfinished(), (taskId) => engine.activity(taskId), ports.policy, clock.now());

    const unfinished = recover(ports);
    await sandbox.reap({ [LABELS.worker]: worker }, new Set(unfinished.map((replicate) => appContainer(settings, replicate))));
    for (const { taskId } of unfinished) engine.drive(taskId);

    /** Also while it is still joining: a worker that must stop at once still says why, and nothing uses the journal after this. */
    const leavePool = async (): Promise<void> => {
      const settled = joined.catch(() => undefined);
      const grace = new AbortController();
      await Promise.race([settled, clock.sleep(JOIN_GRACE_MS, grace.signal).catch(() => undefined)]);
      grace.abort();
      if (membership === undefined) await link?.close();
      await settled;
      await membership?.close();
    };
    /** What this worker offers now. */
    const me = () => ({
      name: settings.name,
      walletAddress: worker,
      os: type(),
      cpu: arch(),
      cpuNb: slots(),
      memorySize: Math.floor(totalmem() / 2 ** 30),
      gpuEnabled: settings.gpu,
      ...tee.registration,
    });
    const join_ = async (): Promise<void> => {
      link = await connecting;
      if (stop.signal.aborted) await link.close();
      stop.signal.throwIfAborted();
      const named = networkNamedBy(link, settings);
      rememberNetwork(journal.db, named);
      closers.add("workerpool", leavePool);
      membership = await joinPool({
        link,
        me: me(),
        engine,
        journal,
        pool: chain.pool,
        slots,
        takeIn: (assignment) => {
          checkpoint("W01");
          return takeIn(assignment, { hub: chain.hub, journal, worker, workerpool: named.workerpool, tee, policy: () => live.current });
        },
        gate: {
          look: async () =>
            operation.refusal() ??
            isolation.refusal() ??
            (await manners.refusal()) ??
            (await diskRefusal(tasksDir, live.current.minFreeMib)),
          onChange: (listener) => {
            const unhook = [operation.onChange(listener), isolation.onChange(listener), live.onChange(listener)];
            return () => {
              for (const remove of unhook) remove();
            };
          },
        },
        onLook: (error) => {
          const since = error !== undefined && error.code === refusal?.error.code ? refusal.since : clock.now();
          refusal = error === undefined ? undefined : { error, since };
        },
        backoff: newBackoff,
        clock,
        log,
        watchdog,
        signal: stop.signal,
      });
      desk.joined = true;
      // After joining, so that the start does not wait for it.
      isolation.begin().catch((thrown: unknown) => log.warn("isolation could not be proved yet", { error: CodedError.from(thrown) }));
      log.info("Cool, your iexec-worker is all set!", {
        wallet: worker,
        workerpool: named.workerpool,
        scheduler: schedulerUrl(settings),
        slots: slots(),
      });
    };
    const joined = join_();
    closers.add(
      "settings",
      live.onChange((changes) => {
        // A scheduler gives no more tasks at once than it was told of.
        if (!changes.some(({ key, live: now }) => key === "cpus" && now)) return;
        membership?.describe(me()).catch((thrown: unknown) => log.warn("the scheduler was not told", { error: CodedError.from(thrown) }));
      }),
    );
    if (known === undefined) await joined;
    else joined.catch((thrown: unknown) => (stop.signal.aborted ? undefined : stopAll(CodedError.from(thrown))));

    return {
      address: worker,
      journal,
      pool: chain.pool,
      hub: chain.hub,
      queue: chain.queue,
      joined,
      halted,
      operation,
      tee,
      watchdog,
      get refusal() {
        return refusal;
      },
      get standing() {
        return standing();
      },
      get link() {
        return link;
      },
      metrics,
      onStatus: (listener) => journal.onChange(listener),
      close,
    };
  } catch (thrown) {
    // A part that hangs does not hide why it could not start.
    await close(AbortSignal.timeout(settings.graceMs)).catch((left: unknown) =>
      log.warn("not closed in order", { error: CodedError.from(left) }),
    );
    throw thrown;
  }

  /** Without its socket a worker works all the same. */
  async function openControl(desk: Desk): Promise<void> {
    try {
      const control = await serveControl(socketPath(settings.stateDir, desk.worker), controlActions(desk), log);
      closers.add("control socket", () => control.close());
    } catch (thrown) {
      log.warn("commands cannot reach this worker", { error: CodedError.from(thrown) });
    }
  }
}
