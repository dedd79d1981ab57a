import { CodedError } from "@iexec-ts/service";
import { COMMANDS as ALL } from "./commands.ts";
import type { Context, Input } from "./context.ts";
import type { Report } from "./report.ts";

const COMMANDS = ALL.filter(({ hidden }) => hidden !== true);
const NOUNS = [...new Set(["start", ...COMMANDS.map(({ path }) => path[0])])];
const flags = (options: readonly (readonly [string, string])[] = []): string[] =>
  options.flatMap(([text]) => /--[a-z-]+/.exec(text)?.[0] ?? []);
const COMMON = ["--json", "--no-input", "--config", "--help"];

const verbsOf = (noun: string): string[] => COMMANDS.filter(({ path }) => path[0] === noun).flatMap(({ path }) => path[1] ?? []);
const flagsOfNoun = (noun: string): string[] => [
  ...new Set([...COMMANDS.filter(({ path }) => path[0] === noun).flatMap(({ options }) => flags(options)), ...COMMON]),
];

const cases = (line: (noun: string, words: string) => string): string =>
  NOUNS.map((noun) => line(noun, [...verbsOf(noun), ...flagsOfNoun(noun)].join(" "))).join("\n");

const bash = (): string => `# bash completion of iexec-worker
_iexec_worker() {
  local word=\${COMP_WORDS[COMP_CWORD]}
  if [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "${NOUNS.join(" ")}" -- "$word")
    return
  fi
  case \${COMP_WORDS[1]} in
${cases((noun, words) => `    ${noun}) mapfile -t COMPREPLY < <(compgen -W "${words}" -- "$word") ;;`)}
  esac
}
complete -o default -F _iexec_worker iexec-worker`;

const zsh = (): string => `#compdef iexec-worker
_iexec_worker() {
  if (( CURRENT == 2 )); then
    compadd ${NOUNS.join(" ")}
    return
  fi
  case $words[2] in
${cases((noun, words) => `    ${noun}) compadd -- ${words}; _files ;;`)}
  esac
}
compdef _iexec_worker iexec-worker`;

/** Errors: WRK-2012. */
export async function completion(_: Context, input: Input): Promise<Report> {
  const [shell = ""] = input.args;
  if (shell !== "bash" && shell !== "zsh") throw new CodedError("WRK-2012", { what: "The shell", expected: "bash or zsh", got: shell });
  const script = shell === "bash" ? bash() : zsh();
  return { data: { shell, script }, text: () => script };
}
