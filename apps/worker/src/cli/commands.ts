import type { Context, Input } from "./context.ts";
import type { Report } from "./report.ts";

export type Run = (context: Context, input: Input) => Promise<Report>;

/** One command as data: help, completion and the documentation are made from it. */
export interface CommandSpec {
  /** Noun, then verb. */
  readonly path: readonly [string, ...string[]];
  readonly summary: string;
  /** `<needed>` or `[optional]`, with what it is. */
  readonly args?: readonly (readonly [string, string])[];
  readonly options?: readonly (readonly [string, string])[];
  readonly examples: readonly string[];
  /** May be repeated until Ctrl-C with --watch. */
  readonly watch?: boolean;
  /** Not offered: it is what a bare call runs. */
  readonly hidden?: boolean;
  /** Loaded when it runs, so that `start` and help stay quick. */
  readonly load: () => Promise<Run>;
}

const MONEY_OPTIONS = [
  ["--yes", "do not ask to type the amount again"],
  ["--dry-run", "say what would happen, send nothing"],
] as const;
const PASSWORD_OPTION = ["--password-file <path>", "file that holds the wallet's password, - for standard input"] as const;
const RANGE_OPTION = ["--from-block <number>", "first block to read; by default the block of the first task in the journal"] as const;

export const COMMANDS: readonly CommandSpec[] = [
  {
    path: ["init"],
    summary: "set this machine up: pool, wallet, what to fund, config file",
    options: [["--output <path>", "where to write the config file; by default the user's config folder"], PASSWORD_OPTION],
    examples: [
      "iexec-worker init",
      "iexec-worker init --no-input --core-url https://pool.example --wallet-path w.json --output worker.json",
    ],
    load: async () => (await import("./commands/init.ts")).init,
  },
  {
    path: ["doctor"],
    summary: "check everything a worker needs, with the fix for what is wrong",
    options: [
      ["--fix", "repair what can be repaired without asking: folders, the mode of the wallet file, firewall rules"],
      PASSWORD_OPTION,
    ],
    examples: ["iexec-worker doctor", "iexec-worker doctor --fix --json"],
    load: async () => (await import("./doctor/doctor.ts")).doctor,
  },
  {
    path: ["status"],
    summary: "the worker, its tasks and its money on one screen",
    examples: ["iexec-worker status", "iexec-worker status --watch"],
    watch: true,
    load: async () => (await import("./commands/status.ts")).status,
  },
  {
    path: ["overview"],
    hidden: true,
    summary: "short help and the state of this machine",
    examples: ["iexec-worker"],
    load: async () => (await import("./commands/overview.ts")).overview,
  },
  {
    path: ["why-idle"],
    summary: "why no task is running, most likely reason first",
    examples: ["iexec-worker why-idle"],
    watch: true,
    load: async () => (await import("./commands/why-idle.ts")).whyIdle,
  },
  {
    path: ["task", "list"],
    summary: "the tasks of this worker, newest first",
    options: [
      ["--open", "only those with something left to do"],
      ["--limit <number>", "how many; 50 unless told"],
    ],
    examples: ["iexec-worker task list --open"],
    load: async () => (await import("./commands/task.ts")).taskList,
  },
  {
    path: ["task", "show"],
    summary: "one task: what happened, its stake and its transactions",
    args: [["<task>", "its id, or the beginning of it"]],
    examples: ["iexec-worker task show 0x19f2"],
    load: async () => (await import("./commands/task.ts")).taskShow,
  },
  {
    path: ["task", "logs"],
    summary: "what the app of a task printed",
    args: [["<task>", "its id, or the beginning of it"]],
    examples: ["iexec-worker task logs 0x19f2"],
    load: async () => (await import("./commands/task.ts")).taskLogs,
  },
  {
    path: ["tx", "list"],
    summary: "the transactions of this worker, newest first",
    options: [["--limit <number>", "how many; 50 unless told"]],
    examples: ["iexec-worker tx list"],
    load: async () => (await import("./commands/tx.ts")).txList,
  },
  {
    path: ["tx", "show"],
    summary: "one transaction with all its attempts",
    args: [["<transaction>", "its name in `tx list`, or one of its hashes"]],
    examples: ["iexec-worker tx show reveal:0x19f2"],
    load: async () => (await import("./commands/tx.ts")).txShow,
  },
  {
    path: ["wallet", "create"],
    summary: "make a new wallet file",
    options: [PASSWORD_OPTION],
    examples: ["iexec-worker wallet create --wallet-path wallet.json"],
    load: async () => (await import("../wallet/keys.ts")).walletCreate,
  },
  {
    path: ["wallet", "import"],
    summary: "put a private key, asked for or from standard input, into a wallet file",
    options: [PASSWORD_OPTION],
    examples: ["iexec-worker wallet import --wallet-path wallet.json", "iexec-worker wallet import --password-file pw.txt < key.txt"],
    load: async () => (await import("../wallet/keys.ts")).walletImport,
  },
  {
    path: ["wallet", "show"],
    summary: "the address of the wallet and the state of its file",
    examples: ["iexec-worker wallet show"],
    load: async () => (await import("../wallet/keys.ts")).walletShow,
  },
  {
    path: ["wallet", "check-backup"],
    summary: "prove that a copy of the wallet file opens with the password",
    args: [["<copy>", "path of the copy"]],
    options: [PASSWORD_OPTION],
    examples: ["iexec-worker wallet check-backup /media/usb/wallet.json"],
    load: async () => (await import("../wallet/keys.ts")).walletCheckBackup,
  },
  {
    path: ["wallet", "balance"],
    summary: "coins, RLC, free and locked stake, and what locks it until when",
    examples: ["iexec-worker wallet balance"],
    load: async () => (await import("../wallet/balance.ts")).walletBalance,
  },
  {
    path: ["wallet", "deposit"],
    summary: "move RLC of the wallet into the iExec account, as stake",
    args: [["<amount>", "in RLC, such as 1.5"]],
    options: [...MONEY_OPTIONS, PASSWORD_OPTION],
    examples: ["iexec-worker wallet deposit 1.5 --dry-run", "iexec-worker wallet deposit 1.5"],
    load: async () => (await import("../wallet/move.ts")).walletDeposit,
  },
  {
    path: ["wallet", "withdraw"],
    summary: "move free stake from the iExec account back to the wallet",
    args: [["<amount>", "in RLC, such as 1.5"]],
    options: [...MONEY_OPTIONS, PASSWORD_OPTION],
    examples: ["iexec-worker wallet withdraw 1.5"],
    load: async () => (await import("../wallet/move.ts")).walletWithdraw,
  },
  {
    path: ["wallet", "transfer"],
    summary: "send coins or RLC of the wallet to another address",
    args: [
      ["<amount>", "with its unit: `0.1 ETH`, `1.5 RLC`"],
      ["<to>", "the address that gets it"],
    ],
    options: [...MONEY_OPTIONS, PASSWORD_OPTION],
    examples: ['iexec-worker wallet transfer "0.1 ETH" 0x8ab3e3a0f5b26a2b2b8bdcd0a0e1f2a3b4c5d6e3'],
    load: async () => (await import("../wallet/move.ts")).walletTransfer,
  },
  {
    path: ["score"],
    summary: "score and weight of this worker, and what the next weight takes",
    examples: ["iexec-worker score"],
    load: async () => (await import("./commands/score.ts")).score,
  },
  {
    path: ["earnings"],
    summary: "earned, seized and spent, from the chain's own events",
    options: [["--by <what>", "task or day; day unless told"], ["--csv", "comma separated values on standard output"], RANGE_OPTION],
    examples: ["iexec-worker earnings", "iexec-worker earnings --by task --csv > earnings.csv"],
    load: async () => (await import("./money/earnings.ts")).earnings,
  },
  {
    path: ["ledger"],
    summary: "every movement of the iExec account, reconciled with the chain; open items first",
    options: [["--csv", "comma separated values on standard output"], RANGE_OPTION],
    examples: ["iexec-worker ledger"],
    load: async () => (await import("./money/ledger-command.ts")).ledger,
  },
  {
    path: ["config", "explain"],
    summary: "the value of a setting and where it comes from; all settings without a name",
    args: [["[key]", "a setting, such as walletPath"]],
    examples: ["iexec-worker config explain gasPriceCap"],
    load: async () => (await import("./commands/config.ts")).configExplain,
  },
  {
    path: ["config", "validate"],
    summary: "whether the worker would start with these settings",
    examples: ["iexec-worker config validate --config worker.json"],
    load: async () => (await import("./commands/config.ts")).configValidate,
  },
  {
    path: ["config", "diff"],
    summary: "the settings that differ from their defaults",
    examples: ["iexec-worker config diff"],
    load: async () => (await import("./commands/config.ts")).configDiff,
  },
  {
    path: ["image", "list"],
    summary: "the images this worker pulled",
    examples: ["iexec-worker image list"],
    load: async () => (await import("./commands/image.ts")).imageList,
  },
  {
    path: ["image", "prune"],
    summary: "remove images this worker pulled, least recently used first",
    options: [
      ["--budget <size>", "keep at most this much, such as 20GB; 0 unless told"],
      ["--dry-run", "say what would be removed, remove nothing"],
      ["--yes", "do not ask"],
    ],
    examples: ["iexec-worker image prune --dry-run", "iexec-worker image prune --budget 20GB"],
    load: async () => (await import("./commands/image.ts")).imagePrune,
  },
  {
    path: ["disk"],
    summary: "what the worker keeps on disk, and what is left",
    examples: ["iexec-worker disk"],
    load: async () => (await import("./commands/disk.ts")).disk,
  },
  {
    path: ["paths"],
    summary: "every file and folder the worker uses",
    examples: ["iexec-worker paths"],
    load: async () => (await import("./commands/disk.ts")).paths,
  },
  {
    path: ["completion"],
    summary: "a completion script for bash or zsh",
    args: [["<shell>", "bash or zsh"]],
    examples: ["iexec-worker completion bash > /etc/bash_completion.d/iexec-worker"],
    load: async () => (await import("./completion.ts")).completionOf(COMMANDS),
  },
  {
    path: ["support", "bundle"],
    summary: "one file to send with a question: settings, checks and journal, without secrets",
    options: [
      ["--output <path>", "the .tar.gz to write"],
      ["--log <path>", "a log file of the worker to put in"],
    ],
    examples: ["iexec-worker support bundle --log worker.log"],
    load: async () => (await import("./commands/support.ts")).supportBundle,
  },
];
