import type { Running } from "@iexec-ts/sandbox";
import { hasCode, openScope, orAborted, type Pulse } from "@iexec-ts/service";
import type { Ports } from "./ports.ts";
import { ALIVE_BOUND_MS, LOOK_AGAIN_MS, LOOP_BOUND_MS, sealBoundMs } from "./stage-bounds.ts";

/**
 * The ports as one run of a replicate's loop is given them. Two things are added.
 *
 * What takes long beats while it is alive: a pull that makes progress, bytes that come, an app whose container is there, a transaction that
 * is under way. The last is waited for in slices; each joins the transaction again, so that an answer that was lost is asked for anew.
 *
 * A run that was given up for standing still changes nothing any more: it may wake up hours later, while another run has long gone on. What
 * it would write or send throws SVC-1503 instead.
 *
 * @param patience - how many times longer than its bound each silence may be: a slow disk or peer is silent after its last sign of life too
 */
export function watchedPorts(ports: Ports, pulse: Pulse, patience = 1): Ports {
  const { journal, pool, queue, sandbox, isolation, results, clock } = ports;
  const alive = (): void => pulse.beat(ALIVE_BOUND_MS * patience);
  const sealing = (): void => pulse.beat(sealBoundMs(ports.policy) * patience);

  /** Errors: SVC-1503. */
  const refuse = (): void => {
    if (pulse.signal.aborted && hasCode(pulse.signal.reason, "SVC-1503")) throw pulse.signal.reason;
  };

  /** Waits for something that may take days, for a reason that is watched elsewhere. */
  const inSlices = async <T>(wait: (slice: AbortSignal) => Promise<T>, signal: AbortSignal | undefined): Promise<T> => {
    for (;;) {
      pulse.beat(LOOP_BOUND_MS * patience);
      using outer = openScope([signal, pulse.signal]);
      using slice = openScope([outer.signal], { ms: LOOK_AGAIN_MS, clock });
      try {
        return await orAborted(wait(slice.signal), slice.signal);
      } catch (thrown) {
        if (outer.signal.aborted || !slice.signal.aborted) throw thrown;
      }
    }
  };

  const watchedRun = (running: Running): Running => ({
    id: running.id,
    adopted: running.adopted,
    wait: async (signal) => {
      const result = await running.wait(signal, alive);
      sealing();
      return result;
    },
    kill: async () => {
      refuse();
      await running.kill();
    },
    // The run that took over attaches to the same container.
    remove: async () => {
      refuse();
      await running.remove();
    },
  });

  return {
    ...ports,
    get policy() {
      const { policy } = ports;
      return { ...policy, fetch: { ...policy.fetch, onAlive: alive }, onSealing: sealing };
    },
    journal: {
      find: (taskId) => journal.find(taskId),
      get: (taskId) => journal.get(taskId),
      history: (taskId) => journal.history(taskId),
      unfinished: () => journal.unfinished(),
      contribution: (taskId) => journal.contribution(taskId),
      promisedStake: (except) => journal.promisedStake(except),
      record: (...change) => {
        refuse();
        return journal.record(...change);
      },
      note: (...facts) => {
        refuse();
        return journal.note(...facts);
      },
      registerContribution: (contribution) => {
        refuse();
        return journal.registerContribution(contribution);
      },
      close: (taskId) => {
        refuse();
        journal.close(taskId);
      },
    },
    pool: {
      onHead: (listener) => pool.onHead(listener),
      waitForBlock: (number, signal) => inSlices((s) => pool.waitForBlock(number, s), signal),
    },
    queue: {
      quote: (gas) => queue.quote(gas),
      submit: async (intent, signal) => {
        refuse();
        return inSlices((slice) => queue.submit(intent, slice), signal);
      },
    },
    sandbox: {
      list: (labels) => sandbox.list(labels),
      findImage: (image) => sandbox.findImage(image),
      pull: (image, options, signal) => sandbox.pull(image, { ...options, onAlive: alive }, signal),
      run: async (spec, signal) => {
        refuse();
        return watchedRun(await sandbox.run(spec, signal));
      },
      reap: async (labels, keep) => {
        refuse();
        return sandbox.reap(labels, keep);
      },
    },
    isolation: { ready: (signal) => inSlices((slice) => isolation.ready(slice), signal) },
    results: {
      find: (taskId, proxyUrl, signal) => results.find(taskId, proxyUrl, signal),
      upload: async (task, signal) => {
        refuse();
        return results.upload({ ...task, onAlive: alive }, signal);
      },
    },
    checkpoint: ports.checkpoint,
  };
}
