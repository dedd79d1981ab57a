import { type Clock, CodedError, openScope, orAborted } from "@iexec-ts/service";

/** How long a part of this host may take to answer, in milliseconds. */
const ANSWER_MS = 10_000;

/**
 * A question to this host that may never be answered, as one about a disk of a server that is gone. Whoever asks while an earlier question is
 * open waits for that one: the system's threads, of which there are few, are not used up by questions that hang.
 *
 * @param what - what is asked, for a person, such as `the disk of /data`
 * @param options.ms - milliseconds each asker waits
 * @returns a function that asks. Errors: WRK-1536; those of `look`.
 */
export function oneLook<A extends readonly unknown[], T>(
  what: string,
  look: (...wanted: A) => Promise<T>,
  { ms = ANSWER_MS, clock }: { readonly ms?: number; readonly clock?: Clock } = {},
): (...wanted: A) => Promise<T> {
  let open: Promise<T> | undefined;
  return async (...wanted) => {
    open ??= look(...wanted).finally(() => {
      open = undefined;
    });
    using limit = openScope([], {
      ms,
      ...(clock === undefined ? {} : { clock }),
      reason: () => new CodedError("WRK-1536", { what, seconds: Math.round(ms / 1_000) }),
    });
    return await orAborted(open, limit.signal);
  };
}
