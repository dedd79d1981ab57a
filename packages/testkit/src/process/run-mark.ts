/**
 * The mark of a run: an entry of the environment that everything a `./run` command starts inherits, and nothing else has. A run inside a
 * run adds its own part behind a slash, so that the outer one still knows what the inner one started.
 */
export const RUN_MARK = "IEXEC_RUN";

/** Value of the mark for a run that begins here. */
export const markInside = (outer: string | undefined, own: string): string => (outer ? `${outer}/${own}` : own);

/** Whether this entry of an environment, `NAME=value`, is the mark of the run or of one inside it. */
export const isOfRun = (entry: string, own: string): boolean =>
  entry.startsWith(`${RUN_MARK}=`) &&
  entry
    .slice(RUN_MARK.length + 1)
    .split("/")
    .includes(own);
