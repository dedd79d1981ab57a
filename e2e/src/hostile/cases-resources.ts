import { setTimeout as delay } from "node:timers/promises";
import { LABELS } from "@iexec-ts/sandbox";
import { completed, either, failed, perRuntime, saying, script, timed } from "./checks.ts";
import { type Lane, OUTPUT_BYTES, PERIOD_S } from "./lane.ts";
import { type End, type HostileCase, textOf } from "./ordeal.ts";

const TIMED_OUT = failed(["SBX-1304"], ["APP_COMPUTE_TIMEOUT"]);
const TOO_LARGE = failed(["SBX-1305"]);
const OUT_OF_MEMORY = failed(["SBX-1303"]);
/** Sealed or counted: too many entries, too deep, too large. */
const REFUSED_OUTPUT = failed(["PAY-1205", "PAY-1206", "PAY-1207", "PAY-1208", "PAY-1209"], ["POST_COMPUTE_FAILED_UNKNOWN_ISSUE"]);
/** The app's own script gave up, or the kernel ended all of it. */
const ENDED = either(failed(["SBX-1303", "SBX-1306"]), TIMED_OUT);
const LOG_BYTES = 1_024 * 1_024;
/** Longest from the deadline to the recorded end. @source compute.md 6.7 H13 */
const KILL_MS = 5_000;

const killedInTime = (end: End, { diedAt }: Lane): string => {
  const said = TIMED_OUT(end);
  const died = diedAt(end.taskId);
  if (died === undefined || end.computeDeadline === undefined) throw new Error("its end was not seen");
  const late = died - end.computeDeadline;
  if (late > KILL_MS) throw new Error(`killed ${late} ms after its deadline`);
  return `${said}, killed ${Math.round(late)} ms after its deadline`;
};

/** CPUs a container uses, from two readings of the kernel's counter. */
async function cpusOf({ docker }: Lane, taskId: string): Promise<number> {
  const filters = { label: [`${LABELS.task}=${taskId}`] };
  let first: { readonly at: number; readonly used: number } | undefined;
  for (let attempt = 0; attempt < 150; attempt++) {
    const [found] = await docker.listContainers({ filters });
    const stats = found === undefined ? undefined : await docker.getContainer(found.Id).stats({ stream: false, "one-shot": true });
    const used = stats?.cpu_stats.cpu_usage.total_usage;
    if (used !== undefined && used > 0) {
      const now = { at: performance.now(), used };
      if (first === undefined) first = now;
      else if (now.at - first.at > 2_000) return (now.used - first.used) / 1e6 / (now.at - first.at);
    }
    await delay(100);
  }
  throw new Error("the container was not seen running for two seconds");
}

/** Cases about how much of this host an app may use. */
export const RESOURCE_CASES: readonly HostileCase[] = [
  {
    id: "H01",
    title: "fork bomb",
    variants: () => [
      timed("bomb", "bomb() { bomb | bomb & }; bomb 2>/dev/null; while :; do sleep 1 2>/dev/null || :; done", ENDED),
      timed(
        "count",
        "i=0; while [ $i -lt 600 ]; do sleep 60 & i=$((i+1)); done; say started $i; ok",
        perRuntime({
          // The shell cannot fork any more and ends.
          runc: either(failed(["SBX-1306"]), TIMED_OUT),
          // gVisor's own processes are few whatever the guest starts.
          runsc: either(ENDED, saying("started 600\n")),
        }),
      ),
    ],
  },
  {
    id: "H02",
    title: "takes more memory than it was given",
    variants: () => [
      script(
        "child",
        "tail -c 900000000 /dev/zero >/dev/null; say parent lives; ok",
        perRuntime({ runc: saying("parent lives\n"), runsc: OUT_OF_MEMORY }),
      ),
      script("app itself", "exec tail -c 900000000 /dev/zero", OUT_OF_MEMORY),
    ],
  },
  {
    id: "H03",
    title: "fills the disk",
    variants: () => [
      script("output", "i=0; while :; do i=$((i+1)); dd if=/dev/zero of=$O/$i bs=1M count=4 2>/dev/null; done", TOO_LARGE),
      script(
        "/tmp",
        "dd if=/dev/zero of=/tmp/x bs=1M count=2000 2>/dev/null || say tmp is full; rm /tmp/x; ok",
        either(saying("tmp is full\n"), OUT_OF_MEMORY),
      ),
      script(
        "root",
        "for d in / /bin /etc /usr /dev /hostile-mark; do (echo x >$d/hostile-mark-root) 2>/dev/null && say wrote $d; done; say end; ok",
        either(saying("end\n"), perRuntime({ runc: saying("wrote /dev\nend\n"), runsc: saying("wrote /dev\nend\n") })),
      ),
    ],
  },
  {
    id: "H09",
    title: "sparse files and zeros",
    variants: () => [
      script(
        "1 TB sparse",
        "truncate -s 1T $O/big 2>/dev/null || say refused; ok",
        either(saying("refused\n"), failed(["SBX-1306"]), REFUSED_OUTPUT),
      ),
      script("1.5 GB sparse", "dd if=/dev/zero of=$O/big bs=1 count=1 seek=1500M 2>/dev/null; ok", REFUSED_OUTPUT),
      script("10 GB of zeros", "dd if=/dev/zero of=$O/big bs=1M count=10000 2>/dev/null; ok", TOO_LARGE),
      script(
        "24 MB of zeros",
        "dd if=/dev/zero of=$O/zeros bs=1M count=24 2>/dev/null; say small; ok",
        completed((end) => {
          const bytes = end.zip?.length ?? 0;
          if (bytes > OUTPUT_BYTES) throw new Error(`the zip has ${bytes} bytes`);
          return `a zip of ${bytes} bytes`;
        }),
      ),
    ],
  },
  {
    id: "H10",
    title: "countless files, endless folders",
    variants: () => [
      timed("files", "i=0; while :; do i=$((i+1)); : >$O/$i; done", either(TOO_LARGE, TIMED_OUT)),
      script("11 000 files", "i=0; while [ $i -lt 11000 ]; do i=$((i+1)); : >$O/$i; done; say x; ok", REFUSED_OUTPUT),
      script(
        "deep folders",
        "cd $O; i=0; while [ $i -lt 5000 ]; do i=$((i+1)); mkdir d && cd d || break; done; sleep 1",
        either(failed(["SBX-1305", "SBX-1306"]), REFUSED_OUTPUT),
      ),
    ],
  },
  {
    id: "H12",
    title: "floods and tricks in the logs",
    variants: () => [
      timed("flood", "yes | head -c 5000000000", TIMED_OUT),
      script(
        "one line of 20 MB",
        "head -c 20000000 /dev/zero | tr '\\0' a; say x; ok",
        completed((end) => {
          const kept = textOf(end, "stdout.txt");
          if (kept.length > LOG_BYTES || !/^a+$/.test(kept)) throw new Error(`${kept.length} characters kept`);
          return `${kept.length} characters kept`;
        }),
      ),
      script(
        "not UTF-8",
        "printf 'a\\377\\376b\\n'; say x; ok",
        completed((end) => {
          const kept = textOf(end, "stdout.txt");
          if (kept !== "a\ufffd\ufffdb\n") throw new Error(`kept ${JSON.stringify(kept)}`);
          return "replaced";
        }),
      ),
      script(
        "escape sequences",
        "printf '\\033[2J\\033]0;owned\\007first\\rsecond\\n'; say x; ok",
        completed(async (end, lane) => {
          const shown = await lane.command(["task", "logs", end.taskId]);
          if (!shown.includes("second")) throw new Error(`the log shows ${JSON.stringify(shown)}`);
          for (const control of ["\u001b", "\u0007", "\r"])
            if (shown.includes(control)) throw new Error("a control character reaches the terminal");
          return "made visible by `task logs`";
        }),
      ),
      script(
        "characters of three bytes",
        "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo '€€€€€€€€€€'; done; say x; ok",
        completed((end) => {
          const kept = textOf(end, "stdout.txt");
          if (kept !== "€€€€€€€€€€\n".repeat(3_000)) throw new Error("characters were damaged");
          return "whole";
        }),
      ),
    ],
  },
  {
    id: "H13",
    title: "does not want to end",
    variants: () => [
      timed("ignores SIGTERM", "trap '' TERM INT HUP QUIT; while :; do sleep 1; done", killedInTime),
      script("daemons", "(setsid sh -c 'while :; do sleep 1; done' >/dev/null 2>&1 &); say left a daemon; ok", saying("left a daemon\n")),
      timed("a second too long", `sleep ${PERIOD_S + 1}; say late; ok`, killedInTime),
    ],
  },
  {
    id: "H20",
    title: "burns every CPU",
    variants: () => [script("four loops", "for i in 1 2 3 4; do (while :; do :; done) & done; sleep 7; say burnt; ok", saying("burnt\n"))],
    async beside(lane, [taskId = "0x"]) {
      const cpus = await cpusOf(lane, taskId);
      if (cpus > 1.25) throw new Error(`it used ${cpus.toFixed(2)} CPUs`);
      return `it used ${cpus.toFixed(2)} of its 1 CPU`;
    },
  },
  {
    id: "H21",
    title: "plays with its time limit",
    variants: () => [
      timed("exactly the limit", `sleep ${PERIOD_S}; say late; ok`, killedInTime),
      timed("well before", `sleep ${PERIOD_S / 4}; say in time; ok`, saying("in time\n")),
    ],
  },
];
