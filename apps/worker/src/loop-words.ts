/** What a loop does, for a person. */
const WORDS: Readonly<Record<string, string>> = {
  replicate: "the work on",
  reporter: "telling the scheduler about",
  demand: "asking for tasks",
  sweep: "asking the scheduler what was missed",
  ping: "the heart-beat to its scheduler",
  "push link": "hearing its scheduler",
  container: "following an app's container",
  transactions: "sending and following the wallet's transactions",
  node: "following a blockchain node",
  "head feed": "hearing of new blocks",
  "isolation proof": "proving that apps are kept apart from this host",
};

/** The loops of a worker. */
export const LOOPS: readonly string[] = Object.keys(WORDS);

/** What stood still, in words: `the work on task 0x12…`, `asking for tasks`. */
export function loopWords({ loop, of }: { readonly loop: string; readonly of?: string | undefined }): string {
  const words = WORDS[loop] ?? `its part "${loop}"`;
  if (of === undefined) return words;
  return loop === "replicate" || loop === "reporter" ? `${words} task ${of}` : `${words} (${of})`;
}
