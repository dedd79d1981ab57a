/** `v9`: quotes as in a shell's simplest rules; `v3`: single spaces. */
export type ArgsEra = "v3" | "v9";

export interface SplitArgs {
  /** Undefined: the image's own command runs. */
  readonly argv: readonly string[] | undefined;
  /** A quote was opened and not closed: Java workers then run the image's own command, and so do we; worth a warning. */
  readonly unbalanced: boolean;
}

const orImageCommand = (argv: readonly string[]): readonly string[] | undefined => (argv.length === 0 ? undefined : argv);

/** Java's `split(" ")`: leading and doubled spaces give empty words, trailing ones are dropped. */
function splitOnSpaces(text: string): readonly string[] {
  if (text === "") return [""];
  const words = text.split(" ");
  while (words.length > 0 && words[words.length - 1] === "") words.pop();
  return words;
}

function splitQuoted(text: string): SplitArgs {
  const argv: string[] = [];
  let word = "";
  let quote = "";
  let escaped = false;
  for (const char of text) {
    const special = quote === "" ? char === "'" || char === '"' : char === quote;
    if (special && !escaped) quote = quote === "" ? char : "";
    else if (char === " " && quote === "") {
      if (word !== "") argv.push(word);
      word = "";
      // The escape outlives the space: the next quote is still an ordinary character.
      continue;
    } else word += char;
    if (special) escaped = false;
    else escaped = char === "\\";
  }
  if (quote !== "") return { argv: undefined, unbalanced: true };
  if (word !== "") argv.push(word);
  return { argv: orImageCommand(argv), unbalanced: false };
}

/**
 * Words of `iexec_args`.
 *
 * In v9 only the space separates; quotes join and vanish; a backslash stays and makes the next quote ordinary; nothing is expanded.
 *
 * @param args - undefined or blank: the image's own command (v9)
 * @source compute.md 1.6 (maven-shared-utils 3.4.2, Java String.split)
 */
export function splitArgs(args: string | undefined, era: ArgsEra = "v9"): SplitArgs {
  if (args === undefined) return { argv: undefined, unbalanced: false };
  if (era === "v3") return { argv: orImageCommand(splitOnSpaces(args)), unbalanced: false };
  if (args.trim() === "") return { argv: undefined, unbalanced: false };
  return splitQuoted(args);
}
