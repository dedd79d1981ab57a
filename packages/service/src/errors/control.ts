import type { ErrorDescriptor } from "./descriptor.ts";

/** What an operator asks of a running worker, when a worker works, and which tasks it takes. */
export const CONTROL_ERRORS = {
  "WRK-1510": {
    message: "The worker is paused {until}",
    cause: "`iexec-worker pause` was used; what was under way goes on.",
    fix: "Use `iexec-worker resume` to ask for tasks again.",
    retry: "operator",
  },
  "WRK-1511": {
    message: "The worker is draining: it finishes what is under way and asks for no new task",
    cause: "`iexec-worker stop --drain` was used.",
    fix: "Wait for it to stop, then start it again.",
    retry: "operator",
  },
  "WRK-1512": {
    message: "No worker runs with wallet {wallet}; {what} needs a running one",
    cause: "The command acts inside the running worker.",
    fix: "Start it with `iexec-worker start`, then run the command again.",
    retry: "operator",
  },
  "WRK-1513": {
    message: "The worker ({holder}) does not answer on {path}: {reason}",
    cause: "It is just starting or ending, it belongs to another user, or its socket was deleted.",
    fix: "Run the command again as the same user. `kill -TERM` on its process always stops it in an orderly way.",
    retry: "retry",
  },
  "WRK-1514": {
    message: "The worker cannot be controlled by commands: the socket {path} cannot be opened: {reason}",
    cause: "The path is longer than 107 bytes, or the folder takes no sockets.",
    fix: "Choose a shorter IEXEC_WORKER_STATE_DIR on a local disk.",
    retry: "environment",
  },
  "WRK-1515": {
    message: "{open} tasks were still under way after {timeout}; the worker stopped and will go on with them when it starts",
    cause: "Drain waits for reveals and uploads, which depend on other workers and on the chain.",
    fix: "Start it again before the next deadline: `iexec-worker task list --open`.",
    retry: "retry",
  },
  "WRK-1516": {
    message: "The worker did not start: {reason}",
    cause: "It ended before it could be reached; its log says why.",
    fix: "Read {log}, or run `iexec-worker doctor`.",
    retry: "operator",
  },
  "WRK-1517": {
    message: "The worker has no {what} yet",
    cause: "It is still starting: it has not reached its scheduler or a node.",
    fix: "Try again in a moment; `iexec-worker status` shows what it waits for.",
    retry: "retry",
  },
  "WRK-1518": {
    message: "{what} is not something a running worker does, or its arguments are wrong: {reason}",
    cause: "The command and the worker are of different versions.",
    fix: "Use the same version for both.",
    retry: "operator",
  },
  "WRK-1520": {
    message: "Refused: {id} is the reveal of a result, and without it {loss}",
    cause: "A result that is contributed and not revealed in time costs its stake and a third of the score.",
    fix: "Use --force only when that is what you want; `tx bump` makes it faster.",
    retry: "operator",
  },
  "WRK-1521": {
    message: "Refused to abort task {taskId}: {loss}",
    cause: "Its result is contributed, or on its way to the chain, and must be revealed to get the stake back.",
    fix: "Let it finish, or use --force when that is what you want.",
    retry: "operator",
  },
  "WRK-1522": {
    message: "Task {taskId} cannot be {what}: {reason}",
    cause: "It is not at the point where this makes sense.",
    fix: "See `iexec-worker task show {taskId}`.",
    retry: "protocol",
  },
  "WRK-1523": {
    message: "The reveal of task {taskId} did not succeed ({outcome}): {reason}",
    cause: "The node refused it, it was not mined in time, or the wallet cannot pay the gas.",
    fix: "See `iexec-worker tx list`; with gas and a node it can be tried again until the reveal deadline.",
    retry: "retry",
  },
  "WRK-1530": {
    message: "Task {taskId} is refused by your policy: {reason}",
    cause: "The policy of this worker does not take such tasks.",
    fix: "See `iexec-worker policy show`; change it with `iexec-worker policy set`.",
    retry: "operator",
  },
  "WRK-1531": {
    message: "Outside the hours you set ({hours}); {next}",
    cause: "The worker asks for tasks only in its hours, in local time.",
    fix: "Wait, or change them with `iexec-worker policy set hours always`.",
    retry: "operator",
  },
  "WRK-1532": {
    message: "Somebody uses this machine: last input {idle} ago, {needed} without are needed",
    cause: "The policy is to work only when the machine is idle.",
    fix: "Nothing; it goes on by itself. `iexec-worker policy preset always` works all the time.",
    retry: "operator",
  },
  "WRK-1533": {
    message: "Other programs keep {load} % of this machine's CPUs busy; above {ceiling} % no task is asked for",
    cause: "The load ceiling of this worker.",
    fix: "Nothing; it goes on when the load falls. Change it with `iexec-worker policy set maxLoad 100`.",
    retry: "operator",
  },
  "WRK-1534": {
    message: "The machine runs on battery",
    cause: "The worker asks for no task on battery.",
    fix: "Plug it in, or use `iexec-worker policy set onBattery true`.",
    retry: "operator",
  },
  "WRK-1535": {
    message: "The files of tasks take {used} MiB, and the budget is {budget} MiB",
    cause: "The disk budget of this worker.",
    fix: "Wait until open tasks end, use `iexec-worker image prune`, or `iexec-worker policy set diskBudgetMib` with more.",
    retry: "environment",
  },
  "WRK-1536": {
    message: "This host does not answer: {what} gave no answer within {seconds} s",
    cause: "A disk of another machine is not reachable, a disk is failing, or the container engine hangs.",
    fix: "Look at `df`, `mount` and `systemctl status docker`; no task is asked for until it answers, and nothing else stops.",
    retry: "environment",
  },
  "WRK-1540": {
    message: "{key} is set by {source} {name}, which wins over the settings file",
    cause: "A flag or an environment variable cannot be changed from outside.",
    fix: "Remove it there and restart the worker, then use this command.",
    retry: "operator",
  },
  "WRK-1541": {
    message: "The settings file {path} cannot be written: {reason}",
    cause: "The folder is missing or not writable, or the file is not a JSON object.",
    fix: "Correct that, or name another file with --config.",
    retry: "operator",
  },
  "WRK-1542": {
    message: "{key} does not change while the worker runs",
    cause: "Only hours, manners, policy and limits are live.",
    fix: "Edit {path} and restart the worker: `iexec-worker stop --drain`, then `iexec-worker start`.",
    retry: "operator",
  },
  "WRK-1550": {
    message: "Self-test failed: {what}",
    cause: "A part of the way from a task to its result does not work on this machine.",
    fix: "Do this: {fix}",
    retry: "operator",
  },
} as const satisfies Record<string, ErrorDescriptor>;
