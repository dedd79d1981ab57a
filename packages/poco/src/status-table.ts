/** Who writes a status: the worker about itself, the scheduler about the worker, or whichever knows first. */
export type StatusSetter = "worker" | "scheduler" | "either";

interface BaseRow {
  readonly setBy: StatusSetter;
  /** The guide's own words, spelling included. */
  readonly meaning: string;
  /** What the operator should do. */
  readonly advice: string;
  /** Legal next statuses in iexec 3.0.1, verbatim. */
  readonly next: readonly string[];
}

const ABORT = ["ABORTED_ON_CONSENSUS_REACHED", "ABORTED_ON_CONTRIBUTION_TIMEOUT"] as const;
const STD = ["WORKER_LOST", "FAILED"] as const;
const CANT = [
  "CANT_CONTRIBUTE_SINCE_STAKE_TOO_LOW",
  "CANT_CONTRIBUTE_SINCE_TASK_NOT_ACTIVE",
  "CANT_CONTRIBUTE_SINCE_AFTER_DEADLINE",
  "CANT_CONTRIBUTE_SINCE_CONTRIBUTION_ALREADY_SET",
] as const;

const NOTHING = "Nothing to do.";

/**
 * The 36 statuses of the worker guide, in its order, with the transitions of iexec 3.0.1.
 *
 * `setBy` follows 3.0.1 except where noted: there REVEAL_TIMEOUT and RECOVERING came from the scheduler alone, COMPLETED from the worker
 * alone and FAILED from nobody; our worker reads the chain and keeps a journal, so it knows the first three by itself, and our scheduler
 * knows that a finalized task paid a worker that is away.
 *
 * @source worker guide, "Statuses of Replicates"; wire.md 4.1
 */
export const STATUS_TABLE = {
  CREATED: {
    setBy: "scheduler",
    meaning: "A new replicate is assigned to your worker just after it asked for new one",
    advice: NOTHING,
    next: ["RUNNING", ...ABORT, "RECOVERING", ...STD],
  },
  RUNNING: {
    setBy: "worker",
    meaning: "Your worker confirms is going to work on this replicate",
    advice: NOTHING,
    next: ["APP_DOWNLOADING", ...ABORT, "RECOVERING", ...STD],
  },
  APP_DOWNLOADING: {
    setBy: "worker",
    meaning: "Your worker is downloaing the application",
    advice: "Nothing to do. A large image on a slow line takes minutes.",
    next: ["APP_DOWNLOADED", "APP_DOWNLOAD_FAILED", ...ABORT, "RECOVERING", ...STD],
  },
  APP_DOWNLOADED: {
    setBy: "worker",
    meaning: "The download of the application is completed",
    advice: NOTHING,
    next: ["DATA_DOWNLOADING", ...ABORT, "RECOVERING", ...STD],
  },
  APP_DOWNLOAD_FAILED: {
    setBy: "worker",
    meaning: "The download of the application failed",
    advice: "If other images fail too, check the network, the disk and the registry settings. Otherwise the image is gone: nothing to do.",
    next: ["CAN_CONTRIBUTE", ...CANT, ...ABORT, ...STD],
  },
  DATA_DOWNLOADING: {
    setBy: "worker",
    meaning: "Your worker is downloaing the dataset",
    advice: "Nothing to do. A large dataset on a slow line takes minutes.",
    next: ["DATA_DOWNLOADED", "DATA_DOWNLOAD_FAILED", ...ABORT, "RECOVERING", ...STD],
  },
  DATA_DOWNLOADED: {
    setBy: "worker",
    meaning: "The download of the dataset is completed",
    advice: NOTHING,
    next: ["COMPUTING", ...ABORT, "RECOVERING", ...STD],
  },
  DATA_DOWNLOAD_FAILED: {
    setBy: "worker",
    meaning: "The download of the dataset failed",
    advice: "If several tasks fail this way, check the network and the IPFS gateways. Otherwise the dataset or input file is gone.",
    next: ["CAN_CONTRIBUTE", ...CANT, ...ABORT, ...STD],
  },
  COMPUTING: {
    setBy: "worker",
    meaning: "Your worker is computing the task",
    advice: "Nothing to do. The task's category bounds how long it may take.",
    next: ["COMPUTED", "COMPUTE_FAILED", ...ABORT, "RECOVERING", ...STD],
  },
  COMPUTED: {
    setBy: "worker",
    meaning: "The computation is completed",
    advice: NOTHING,
    next: ["CAN_CONTRIBUTE", ...CANT, ...ABORT, "RECOVERING", ...STD],
  },
  COMPUTE_FAILED: {
    setBy: "worker",
    meaning: "The computation failed",
    advice: "Look at the cause. If several tasks fail this way, check the container engine, its memory and its disk.",
    next: ["CAN_CONTRIBUTE", ...CANT, ...ABORT, "RECOVERING", ...STD],
  },
  CAN_CONTRIBUTE: {
    setBy: "worker",
    meaning: "Your worker can contribute the fingerprint of the computed result on chain",
    advice: NOTHING,
    next: ["CONTRIBUTING", "OUT_OF_GAS", ...ABORT, "RECOVERING", ...STD],
  },
  CANT_CONTRIBUTE_SINCE_STAKE_TOO_LOW: {
    setBy: "worker",
    meaning: "Your worker hasn't enought RLC in its account to contribute (30% of the task in RLC by default)",
    advice: "Deposit RLC on the worker's iExec account.",
    next: [...ABORT, ...STD],
  },
  CANT_CONTRIBUTE_SINCE_TASK_NOT_ACTIVE: {
    setBy: "worker",
    meaning:
      "The task is not active on chain. This status usually happens when different workers have contributed on the same task but the consensus has been reached before your contribution.",
    advice: "Nothing to do. If it is frequent, this machine is slower than the others: take smaller tasks or run fewer at once.",
    next: [...ABORT, ...STD],
  },
  CANT_CONTRIBUTE_SINCE_AFTER_DEADLINE: {
    setBy: "worker",
    meaning: "The deadline for the contribution is reached",
    advice: "Nothing to do for this task. If it is frequent, this machine is too slow or too often off for these tasks.",
    next: [...ABORT, ...STD],
  },
  CANT_CONTRIBUTE_SINCE_CONTRIBUTION_ALREADY_SET: {
    setBy: "worker",
    meaning: "Your worker already contributed for this task",
    advice: "If this machine did not send it, another worker uses the same wallet: one wallet, one worker.",
    next: [...ABORT, ...STD],
  },
  CONTRIBUTING: {
    setBy: "worker",
    meaning: 'Your worker sent the "contribute(..)" transaction (fingerprint of the result) on chain',
    advice: "Nothing to do. If it stays here for minutes, the gas price may be above the cap.",
    next: ["CONTRIBUTED", "CONTRIBUTE_FAILED", ...ABORT, "RECOVERING", ...STD],
  },
  CONTRIBUTE_FAILED: {
    setBy: "worker",
    meaning: "The contribute transaction failed",
    advice: "Look at the cause. No stake is locked for this task.",
    next: [...ABORT, ...STD],
  },
  CONTRIBUTED: {
    setBy: "either",
    meaning: "Your worker has contributed on chain",
    advice: "Keep the worker running: the stake is locked and the reveal comes next.",
    next: ["REVEALING", "CANT_REVEAL", "REVEAL_TIMEOUT", "OUT_OF_GAS", ...ABORT, "RECOVERING", ...STD],
  },
  CANT_REVEAL: {
    setBy: "worker",
    meaning: "Your worker cant reveal the proof that it is the owner of the fingerprint of the computed result",
    advice: "Another result won, or the task was reopened. If several tasks end this way, check this machine's results.",
    next: [],
  },
  REVEALING: {
    setBy: "worker",
    meaning: 'Your worker sent the "reveal(..)" transactions (proof that he is the owner of the fingerprint of the result)',
    advice: "Keep the worker running until it is REVEALED. If it stays here, the gas price may be above the cap.",
    next: ["REVEALED", "REVEAL_FAILED", "REVEAL_TIMEOUT", "RECOVERING", ...STD],
  },
  REVEALED: {
    setBy: "either",
    meaning: "Your worker has revealed the proof on chain",
    advice: "Nothing to do. Keep the result: the scheduler may ask for it.",
    next: ["RESULT_UPLOAD_REQUESTED", "COMPLETED", "RECOVERING", ...STD],
  },
  REVEAL_FAILED: {
    setBy: "worker",
    meaning: "The reveal transaction failed",
    advice: "Look at the transaction's cause. The stake of this task may be lost when the task is finalized.",
    next: [],
  },
  RESULT_UPLOAD_REQUESTED: {
    setBy: "scheduler",
    meaning: "Your worker has been called for uploading the result to a remote filesystem",
    advice: NOTHING,
    next: ["RESULT_UPLOADING", "RESULT_UPLOAD_REQUEST_FAILED", "RECOVERING", ...STD],
  },
  RESULT_UPLOAD_REQUEST_FAILED: {
    setBy: "scheduler",
    meaning: "Your worker did not accept to be called for uploading the result",
    advice: "Check that the worker is running and reaches its scheduler. The task still pays when another worker uploads.",
    next: [],
  },
  RESULT_UPLOADING: {
    setBy: "worker",
    meaning: "Your worker is uploading the result",
    advice: NOTHING,
    next: ["RESULT_UPLOADED", "RESULT_UPLOAD_FAILED", "RECOVERING", ...STD],
  },
  RESULT_UPLOADED: {
    setBy: "either",
    meaning: "The result is uploaded (to an iExec Result Repository or to IPFS)",
    advice: "Nothing to do. The scheduler finalizes the task.",
    next: ["COMPLETED", ...STD],
  },
  RESULT_UPLOAD_FAILED: {
    setBy: "either",
    meaning: "The upload of the result failed",
    advice: "Check that the result proxy can be reached. The task still pays when another worker uploads.",
    next: [],
  },
  COMPLETED: {
    setBy: "either",
    meaning: "The whole task is completed meaning the task is finalized. You have been rewarded if you are part of the consensus",
    advice: NOTHING,
    next: [],
  },
  REVEAL_TIMEOUT: {
    setBy: "either",
    meaning: "Your worker took too long to reveal its proof (more than 2 period after the consensus)",
    advice: "Find out why the worker was off, without a node or without gas: the stake of this task is lost when the task is finalized.",
    next: [],
  },
  WORKER_LOST: {
    setBy: "scheduler",
    meaning: "Your worker didn't ping the iexec-core scheduler for a while. It is considered as out for this task",
    advice: "Check that the worker is running and reaches its scheduler, then restart it: it goes on where it stopped.",
    next: [...ABORT, "RESULT_UPLOAD_REQUEST_FAILED", "RESULT_UPLOAD_FAILED", "REVEAL_TIMEOUT", "COMPLETED", "RECOVERING", ...STD],
  },
  ABORTED_ON_CONSENSUS_REACHED: {
    setBy: "worker",
    meaning: "The consensus is reached but you are not part of it",
    advice: "If your worker had contributed, its stake is lost when the task is finalized; otherwise nothing to do.",
    next: [],
  },
  ABORTED_ON_CONTRIBUTION_TIMEOUT: {
    setBy: "worker",
    meaning: "Your worker took too long to contribute (7 periods after the purchase of the task)",
    advice: "If your worker had contributed, its stake comes back when the task is claimed; otherwise nothing to do.",
    next: [],
  },
  FAILED: {
    setBy: "either",
    meaning: "Your worker failed to participate to the task",
    advice: "Look at the status before this one and its cause.",
    next: [],
  },
  OUT_OF_GAS: {
    setBy: "worker",
    meaning: "Your worker needs some ETH, please refill its wallet",
    advice: "Send the chain's coin to the worker's wallet; it goes on by itself.",
    next: [...ABORT, ...STD],
  },
  RECOVERING: {
    setBy: "either",
    meaning: "Your worker has been stop, it is starting back from where it stop",
    advice: NOTHING,
    next: [
      "CREATED",
      "RUNNING",
      "APP_DOWNLOADING",
      "APP_DOWNLOADED",
      "APP_DOWNLOAD_FAILED",
      "DATA_DOWNLOADING",
      "DATA_DOWNLOADED",
      "DATA_DOWNLOAD_FAILED",
      "COMPUTING",
      "COMPUTED",
      "COMPUTE_FAILED",
      "CAN_CONTRIBUTE",
      ...CANT,
      "CONTRIBUTING",
      "CONTRIBUTE_FAILED",
      "CONTRIBUTED",
      "REVEALING",
      "REVEALED",
      "RESULT_UPLOAD_REQUESTED",
      "RESULT_UPLOADING",
      "RESULT_UPLOADED",
      "COMPLETED",
      ...ABORT,
      "OUT_OF_GAS",
      "RECOVERING",
      ...STD,
    ],
  },
} as const satisfies Record<string, BaseRow>;
