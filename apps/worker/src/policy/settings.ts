import { asAddress, asAmount, asDurationMs, asList, asSwitch, asWholeNumber, setting } from "@iexec-ts/service";

/** Which tasks this worker takes. All of them change while it runs. */
export const POLICY_SETTINGS = {
  minPrice: setting({
    env: ["IEXEC_WORKER_MIN_PRICE"],
    flag: "--min-price",
    unit: "nRLC",
    doc: "Least the requester pays the workerpool for a task; cheaper ones are refused.",
    reload: "live",
    schema: asAmount().default(0n),
  }),
  allowRequesters: setting({
    env: ["IEXEC_WORKER_ALLOW_REQUESTERS"],
    flag: "--allow-requesters",
    doc: "Addresses of the only requesters whose tasks are taken, separated by commas; all of them when empty.",
    reload: "live",
    schema: asList(asAddress()).default([]),
  }),
  denyRequesters: setting({
    env: ["IEXEC_WORKER_DENY_REQUESTERS"],
    flag: "--deny-requesters",
    doc: "Addresses of requesters whose tasks are refused, separated by commas.",
    reload: "live",
    schema: asList(asAddress()).default([]),
  }),
  allowApps: setting({
    env: ["IEXEC_WORKER_ALLOW_APPS"],
    flag: "--allow-apps",
    doc: "Addresses of the only apps that are run, separated by commas; all of them when empty.",
    reload: "live",
    schema: asList(asAddress()).default([]),
  }),
  denyApps: setting({
    env: ["IEXEC_WORKER_DENY_APPS"],
    flag: "--deny-apps",
    doc: "Addresses of apps that are refused, separated by commas.",
    reload: "live",
    schema: asList(asAddress()).default([]),
  }),
  categories: setting({
    env: ["IEXEC_WORKER_CATEGORIES"],
    flag: "--categories",
    doc: "Ids of the only categories whose tasks are taken, separated by commas; all of them when empty.",
    reload: "live",
    schema: asList(asWholeNumber({ min: 0 })).default([]),
  }),
  maxTaskMs: setting({
    env: ["IEXEC_WORKER_MAX_TASK_TIME"],
    flag: "--max-task-time",
    unit: "duration; plain numbers are ms",
    doc: "Longest computing time a task's category may allow; longer ones are refused.",
    reload: "live",
    schema: asDurationMs({ minMs: 1_000 }).optional(),
  }),
  onlyDigestApps: setting({
    env: ["IEXEC_WORKER_ONLY_DIGEST_APPS"],
    flag: "--only-digest-apps",
    doc: "Run only apps whose image is named by its digest, so that it cannot be changed after its registration.",
    reload: "live",
    schema: asSwitch().default(false),
  }),
};
