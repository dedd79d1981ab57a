import { CodedError, type ErrorCode } from "@iexec-ts/service";
import type { Stage } from "./decide.ts";
import type { Ports } from "./ports.ts";
import type { Replicate } from "./replicate.ts";

/**
 * Whose doing an error is: the app's author's, the requester's (who chose app, data and arguments), somebody's whom we call (registry, file
 * server, node, scheduler, result proxy), this host's or its operator's, or this program's.
 */
export type Blame = "app" | "requester" | "peer" | "host" | "us";

/**
 * What follows, while nothing of ours is on chain:
 *
 * - `report` - the task's own status says so: a failed download contributes its explanation, a failed computation ends in COMPUTE_FAILED
 * - `retry, then report` - tried again for as long as one download may take, then as `report`
 * - `retry, then give back` - tried again until the last moment at which another worker can still do the task, then as `give back`
 * - `give back` - FAILED with this code as its cause: the scheduler asks another worker at once
 * - `alarm` - the worker takes no more tasks and calls its operator; the task is tried again all the same
 */
export type Consequence = "report" | "retry, then report" | "retry, then give back" | "give back" | "alarm";

export interface Fault {
  readonly blame: Blame;
  readonly follows: Consequence;
}

/** Codes that can reach a stage: those of commands (WRK-2…), of the scheduler, the proxy and the local network cannot. */
export type StageCode = Extract<
  ErrorCode,
  `${"SVC" | "CHN" | "WIR" | "SBX" | "PAY" | "WRK"}-1${string}` | `CHN-${string}` | `WIR-${string}`
>;

const APP: Fault = { blame: "app", follows: "report" };
const REQUESTER: Fault = { blame: "requester", follows: "report" };
/** Somebody whom the requester chose. */
const SUPPLIER: Fault = { blame: "peer", follows: "retry, then report" };
/** Somebody whom the task does not depend on. */
const PEER: Fault = { blame: "peer", follows: "retry, then give back" };
const HOST: Fault = { blame: "host", follows: "retry, then give back" };
/** It stays as it is until a person changes something. */
const OPERATOR: Fault = { blame: "host", follows: "give back" };
const OURS: Fault = { blame: "us", follows: "retry, then give back" };
const WALLET: Fault = { blame: "host", follows: "alarm" };

/**
 * The one table of faults. It is exhaustive by type: a new code without an entry does not compile, and an entry that blames an app, a
 * requester or a supplier must be in the list of `faults.test.ts` as well. It stands here and not in the catalogue, because what follows is
 * the business of a replicate's stages alone; most codes of the catalogue never reach one.
 */
export const FAULTS: Readonly<Record<StageCode, Fault>> = {
  // Everything that was thrown without a code: a mistake of ours until somebody shows otherwise, never the app's.
  "SVC-1000": OURS,
  "SVC-1101": OPERATOR,
  "SVC-1102": OURS,
  "SVC-1103": OPERATOR,
  "SVC-1201": OPERATOR,
  "SVC-1202": OPERATOR,
  "SVC-1203": OURS,
  "SVC-1204": OURS,
  "SVC-1205": OURS,
  "SVC-1206": OURS,
  "SVC-1301": OPERATOR,
  "SVC-1302": OPERATOR,
  "SVC-1303": OPERATOR,
  "SVC-1304": OPERATOR,
  "SVC-1305": OPERATOR,
  "SVC-1306": OPERATOR,
  "SVC-1307": OPERATOR,
  "SVC-1308": HOST,
  "SVC-1309": OPERATOR,
  "SVC-1401": OPERATOR,
  "SVC-1402": HOST,
  "SVC-1501": OURS,
  "SVC-1502": OURS,
  "SVC-1503": OURS,
  "SVC-1601": OURS,
  "SVC-1602": OURS,

  "SBX-1001": HOST,
  "SBX-1002": HOST,
  "SBX-1003": OPERATOR,
  "SBX-1004": HOST,
  "SBX-1005": OPERATOR,
  "SBX-1006": HOST,
  "SBX-1007": OPERATOR,
  "SBX-1101": APP,
  // A private image, or one that does not exist: registries do not tell the difference.
  "SBX-1102": APP,
  "SBX-1103": SUPPLIER,
  // All attempts together have the time of one pull, and that is used up.
  "SBX-1104": { blame: "peer", follows: "report" },
  "SBX-1105": HOST,
  "SBX-1106": APP,
  "SBX-1107": SUPPLIER,
  "SBX-1108": APP,
  "SBX-1109": SUPPLIER,
  "SBX-1201": OPERATOR,
  "SBX-1202": HOST,
  "SBX-1203": APP,
  "SBX-1204": HOST,
  "SBX-1205": OURS,
  "SBX-1206": HOST,
  "SBX-1207": HOST,
  "SBX-1301": HOST,
  "SBX-1302": HOST,
  "SBX-1303": APP,
  "SBX-1304": APP,
  "SBX-1305": APP,
  "SBX-1306": APP,
  "SBX-1401": OPERATOR,
  "SBX-1402": HOST,
  "SBX-1403": OPERATOR,
  "SBX-1501": OPERATOR,
  "SBX-1502": HOST,

  "PAY-1101": REQUESTER,
  "PAY-1102": REQUESTER,
  // The download has made all its tries when it says so.
  "PAY-1103": { blame: "peer", follows: "report" },
  "PAY-1104": { blame: "peer", follows: "report" },
  "PAY-1105": { blame: "peer", follows: "report" },
  "PAY-1106": REQUESTER,
  "PAY-1107": { blame: "peer", follows: "report" },
  "PAY-1108": REQUESTER,
  "PAY-1109": REQUESTER,
  "PAY-1110": OPERATOR,
  "PAY-1111": HOST,
  "PAY-1112": REQUESTER,
  "PAY-1121": REQUESTER,
  "PAY-1122": REQUESTER,
  "PAY-1123": REQUESTER,
  "PAY-1201": APP,
  "PAY-1202": APP,
  "PAY-1203": APP,
  "PAY-1204": APP,
  "PAY-1205": APP,
  "PAY-1206": APP,
  "PAY-1207": APP,
  "PAY-1208": APP,
  "PAY-1209": APP,
  "PAY-1210": HOST,
  "PAY-1211": APP,
  "PAY-1212": APP,
  "PAY-1213": APP,
  "PAY-1214": APP,
  "PAY-1215": HOST,
  "PAY-1216": HOST,
  "PAY-1217": APP,
  "PAY-1221": OURS,
  "PAY-1222": OURS,
  "PAY-1301": PEER,
  "PAY-1302": PEER,
  "PAY-1303": PEER,
  "PAY-1304": PEER,
  "PAY-1305": HOST,
  "PAY-1306": HOST,

  "CHN-1001": PEER,
  "CHN-1002": PEER,
  "CHN-1003": PEER,
  "CHN-1004": OPERATOR,
  "CHN-1005": HOST,
  "CHN-1006": OPERATOR,
  "CHN-2001": OPERATOR,
  "CHN-2002": PEER,
  "CHN-3001": OURS,
  "CHN-3002": OURS,
  "CHN-3003": OURS,
  "CHN-3004": HOST,
  // Another program signs with the key of this wallet.
  "CHN-3005": WALLET,
  "CHN-3006": OURS,
  "CHN-3007": WALLET,
  "CHN-3008": PEER,
  "CHN-3009": OURS,
  // The transaction queue has gone on without a call that hung.
  "CHN-3010": OURS,

  "WIR-1001": PEER,
  "WIR-1002": PEER,
  "WIR-1003": PEER,
  "WIR-1004": PEER,
  "WIR-1005": PEER,
  "WIR-1006": PEER,
  "WIR-1101": OPERATOR,
  "WIR-1102": PEER,
  "WIR-1201": OPERATOR,
  "WIR-1202": OPERATOR,
  "WIR-1301": PEER,
  "WIR-1302": PEER,
  "WIR-2001": PEER,
  "WIR-2002": OPERATOR,

  "WRK-1001": OPERATOR,
  "WRK-1002": OPERATOR,
  "WRK-1003": HOST,
  "WRK-1004": OPERATOR,
  "WRK-1005": OPERATOR,
  "WRK-1006": HOST,
  "WRK-1007": OPERATOR,
  "WRK-1008": OPERATOR,
  "WRK-1009": OPERATOR,
  "WRK-1010": OPERATOR,
  "WRK-1301": OURS,
  "WRK-1302": WALLET,
  "WRK-1303": OURS,
  "WRK-1304": OURS,
  "WRK-1305": WALLET,
  "WRK-1306": PEER,
  "WRK-1307": OPERATOR,
  "WRK-1308": REQUESTER,
  "WRK-1309": PEER,
  "WRK-1310": PEER,
  "WRK-1311": PEER,
  // The upload itself is reported as failed, so that another worker is asked for its copy.
  "WRK-1312": { blame: "host", follows: "report" },
  "WRK-1313": HOST,
  "WRK-1314": PEER,
  "WRK-1315": WALLET,
  "WRK-1316": HOST,
  "WRK-1318": PEER,
  "WRK-1319": HOST,
  "WRK-1320": HOST,
  // What is said of statuses; nothing throws it.
  "WRK-1401": OURS,
  "WRK-1402": OURS,
  "WRK-1403": OURS,
  "WRK-1404": OURS,
  "WRK-1405": OURS,
  "WRK-1406": OURS,
  "WRK-1407": OURS,
  "WRK-1408": OURS,
  "WRK-1409": OURS,
  "WRK-1410": OURS,
  "WRK-1411": OURS,
  "WRK-1501": PEER,
  "WRK-1502": { blame: "peer", follows: "report" },
  "WRK-1510": OPERATOR,
  "WRK-1511": OPERATOR,
  "WRK-1512": OPERATOR,
  "WRK-1513": HOST,
  "WRK-1514": HOST,
  "WRK-1515": HOST,
  "WRK-1516": OPERATOR,
  "WRK-1517": HOST,
  "WRK-1518": OPERATOR,
  "WRK-1520": OPERATOR,
  "WRK-1521": OPERATOR,
  "WRK-1522": OPERATOR,
  "WRK-1523": HOST,
  "WRK-1530": OPERATOR,
  "WRK-1531": OPERATOR,
  "WRK-1532": OPERATOR,
  "WRK-1533": OPERATOR,
  "WRK-1534": OPERATOR,
  "WRK-1535": HOST,
  "WRK-1536": HOST,
  "WRK-1540": OPERATOR,
  "WRK-1541": OPERATOR,
  "WRK-1542": OPERATOR,
  "WRK-1550": OPERATOR,
  "WRK-1601": OPERATOR,
  "WRK-1602": HOST,
  "WRK-1603": OPERATOR,
  "WRK-1701": OPERATOR,
  "WRK-1702": HOST,
  "WRK-1703": OPERATOR,
  "WRK-1704": OPERATOR,
  "WRK-1705": OPERATOR,
  "WRK-1706": OPERATOR,
  "WRK-1707": OPERATOR,
  "WRK-1708": OPERATOR,
  "WRK-1709": OPERATOR,
  "WRK-1710": OPERATOR,
};

/** What a failing disk, a full one, or one that somebody cleans up says. */
const OF_THE_HOST = new Set(
  "EACCES EAGAIN EBADF EBUSY EDQUOT EEXIST EFBIG EINTR EIO EISDIR ELOOP EMFILE ENFILE ENODEV ENOENT ENOMEM ENOSPC ENOTDIR ENOTEMPTY EPERM EROFS ESTALE ETXTBSY EXDEV".split(
    " ",
  ),
);

const isStageCode = (code: ErrorCode): code is StageCode => Object.hasOwn(FAULTS, code);

/** Whose fault an error is and what follows; a code that no stage can meet is a mistake of ours. */
export const faultOf = ({ code }: Pick<CodedError, "code">): Fault => (isStageCode(code) ? FAULTS[code] : OURS);

/** Anything a stage may catch as a coded error: what the file system said becomes WRK-1319. */
export function faultFrom(thrown: unknown): CodedError {
  const system = thrown instanceof Error && !(thrown instanceof CodedError) && "code" in thrown && OF_THE_HOST.has(String(thrown.code));
  return system ? new CodedError("WRK-1319", { reason: thrown.message }, { cause: thrown }) : CodedError.from(thrown);
}

/**
 * Whether a download that failed with this error ends in its explanation instead of a result.
 *
 * @param triedLongEnough - all tries that one download may have are used up
 */
export function spoilsDownload(error: CodedError, triedLongEnough: boolean): boolean {
  const { blame, follows } = faultOf(error);
  if (blame === "host" || blame === "us") return false;
  return follows === "report" || (follows === "retry, then report" && triedLongEnough);
}

/** Whether a computation that ended with this error is the app's failure, or the requester's. */
export function spoilsComputation(error: CodedError): boolean {
  const { blame } = faultOf(error);
  return blame === "app" || blame === "requester";
}

/** Stages that may end by giving the task back: nothing of ours is on chain before or during them. */
const GIVING_BACK: ReadonlySet<Stage> = new Set<Stage>(["DOWNLOAD_APP", "DOWNLOAD_DATA", "COMPUTE", "SEAL_ERROR"]);

/**
 * Whether a stage that failed with this error is given up for another worker's sake.
 *
 * @param tooLate - no time is left in which another worker could do the task
 */
export function givesBack(error: CodedError, stage: Stage, tooLate: boolean): boolean {
  if (!GIVING_BACK.has(stage)) return false;
  const { follows } = faultOf(error);
  return follows === "give back" || (tooLate && follows !== "alarm");
}

/**
 * Resolves when somebody else is to blame for a call that failed on its way: a host without a network reaches no node either.
 *
 * Errors: CHN-… when no node answers; the call is then to be tried again.
 */
export async function ownLineWorks(error: CodedError, { taskId }: Pick<Replicate, "taskId">, { hub, worker }: Ports): Promise<void> {
  if (faultOf(error).blame === "peer") await hub.observe(taskId, worker);
}
