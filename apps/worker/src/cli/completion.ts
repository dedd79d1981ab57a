import { CodedError } from "@iexec-ts/service";
import type { CommandSpec, Run } from "./command.ts";

const COMMON = ["--json", "--no-input", "--config", "--help"];

const flags = (options: CommandSpec["options"] = []): string[] => options.flatMap(([text]) => /--[a-z-]+/.exec(text)?.[0] ?? []);

interface Words {
  readonly nouns: readonly string[];
  /** What may follow each noun. */
  readonly after: (noun: string) => string;
}

function wordsOf(all: readonly CommandSpec[]): Words {
  const commands = all.filter(({ hidden }) => hidden !== true);
  return {
    nouns: [...new Set(["start", ...commands.map(({ path }) => path[0])])],
    after: (noun) => {
      const own = commands.filter(({ path }) => path[0] === noun);
      const verbs = own.flatMap(({ path }) => path[1] ?? []);
      const options = own.flatMap((spec) => [...flags(spec.options), ...(spec.watch === true ? ["--watch"] : [])]);
      return [...new Set([...verbs, ...options, ...COMMON])].join(" ");
    },
  };
}

const bash = ({ nouns, after }: Words): string => `# bash completion of iexec-worker
_iexec_worker() {
  local word=\${COMP_WORDS[COMP_CWORD]}
  if [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "${nouns.join(" ")}" -- "$word")
    return
  fi
  case \${COMP_WORDS[1]} in
${nouns.map((noun) => `    ${noun}) mapfile -t COMPREPLY < <(compgen -W "${after(noun)}" -- "$word") ;;`).join("\n")}
  esac
}
complete -o default -F _iexec_worker iexec-worker`;

const zsh = ({ nouns, after }: Words): string => `#compdef iexec-worker
_iexec_worker() {
  if (( CURRENT == 2 )); then
    compadd ${nouns.join(" ")}
    return
  fi
  case $words[2] in
${nouns.map((noun) => `    ${noun}) compadd -- ${after(noun)}; _files ;;`).join("\n")}
  esac
}
compdef _iexec_worker iexec-worker`;

/** The command that prints the completion of `commands`. Errors: WRK-2012. */
export const completionOf =
  (commands: readonly CommandSpec[]): Run =>
  async (_, { args: [shell = ""] }) => {
    if (shell !== "bash" && shell !== "zsh") throw new CodedError("WRK-2012", { what: "The shell", expected: "bash or zsh", got: shell });
    const words = wordsOf(commands);
    const script = shell === "bash" ? bash(words) : zsh(words);
    return { data: { shell, script }, text: () => script };
  };
