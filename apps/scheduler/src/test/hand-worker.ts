import {
  type Bytes32,
  loginChallengeDigest,
  lowerHex,
  type ReplicateStatus,
  type TaskId,
  type WorkerpoolAuthorization,
  workerpoolAuthorizationSchema,
} from "@iexec-ts/poco";
import type { StatusDetails } from "@iexec-ts/wire";
import type { HDAccount } from "viem";
import { z } from "zod";

const ASSIGNMENT = z.object({ workerpoolAuthorization: workerpoolAuthorizationSchema });
const ANSWER = z.object({ kind: z.string(), action: z.string().nullable() });
const NOTIFICATIONS = z.array(
  z.object({
    chainTaskId: z.string(),
    taskNotificationType: z.string(),
    taskNotificationExtra: z.object({ taskAbortCause: z.string().nullish() }).nullish(),
  }),
);
export type Answer = z.output<typeof ANSWER>;

/** A worker played by hand: it says what the test tells it to, in the native dialect. */
export class HandWorker {
  readonly account: HDAccount;
  readonly wallet: `0x${string}`;
  #url: string;
  #token = "";
  #seq = new Map<string, number>();

  constructor(account: HDAccount, url: string) {
    this.account = account;
    this.wallet = lowerHex(account.address);
    this.#url = url;
  }

  /** Talks to another process of the pool from now on. */
  moveTo(url: string): void {
    this.#url = url;
  }

  async call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
    return await fetch(`${this.#url}${path}`, {
      method,
      headers: { authorization: `Bearer ${this.#token}`, ...headers },
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body, (_, value: unknown) => (typeof value === "bigint" ? Number(value) : value)) }),
    });
  }

  async login(): Promise<number> {
    const challenge = await fetch(`${this.#url}/workers/challenge?walletAddress=${this.wallet}`);
    if (challenge.status !== 200) return challenge.status;
    const value = await this.account.sign({ hash: loginChallengeDigest(await challenge.text()) });
    const answer = await fetch(`${this.#url}/workers/login?walletAddress=${this.wallet}`, {
      method: "POST",
      body: JSON.stringify({ value }),
    });
    this.#token = await answer.text();
    return answer.status;
  }

  async join(cpuNb = 1, flags: { readonly gpu?: boolean; readonly tdx?: boolean } = {}): Promise<void> {
    await this.login();
    const answer = await this.call("POST", "/workers/register", {
      name: `worker-${this.wallet.slice(2, 6)}`,
      walletAddress: this.wallet,
      os: "Linux",
      cpu: "amd64",
      cpuNb,
      memorySize: 4,
      gpuEnabled: flags.gpu ?? false,
      teeEnabled: false,
      tdxEnabled: flags.tdx ?? false,
    });
    if (answer.status !== 200) throw new Error(`register: ${answer.status}`);
  }

  async ping(): Promise<number> {
    return (await this.call("POST", "/workers/ping")).status;
  }

  async demand(waitSeconds = 20): Promise<WorkerpoolAuthorization | undefined> {
    const answer = await this.call("GET", `/v1/replicates/demand?blockNumber=1&wait=${waitSeconds}`);
    if (answer.status === 204) return undefined;
    if (answer.status !== 200) throw new Error(`demand: ${answer.status} ${await answer.text()}`);
    return ASSIGNMENT.parse(await answer.json()).workerpoolAuthorization;
  }

  async work(waitSeconds = 20): Promise<WorkerpoolAuthorization> {
    const found = await this.demand(waitSeconds);
    if (found === undefined) throw new Error(`no work for ${this.wallet}`);
    return found;
  }

  async report(
    taskId: TaskId,
    status: ReplicateStatus,
    more: { readonly cause?: string; readonly details?: StatusDetails; readonly seq?: number } = {},
  ): Promise<Answer> {
    const seq = more.seq ?? (this.#seq.get(taskId) ?? 0) + 1;
    this.#seq.set(taskId, seq);
    const answer = await this.call("POST", `/v1/replicates/${taskId}/statuses`, {
      seq,
      status,
      ...(more.cause === undefined ? {} : { cause: more.cause }),
      at: new Date().toISOString(),
      ...(more.details === undefined ? {} : { details: more.details }),
    });
    const text = await answer.text();
    if (answer.status !== 200) throw new Error(`${status}: ${answer.status} ${text}`);
    return ANSWER.parse(JSON.parse(text));
  }

  /** Everything from RUNNING to CONTRIBUTING. */
  async compute(taskId: TaskId): Promise<void> {
    const stages = [
      "RUNNING",
      "APP_DOWNLOADING",
      "APP_DOWNLOADED",
      "DATA_DOWNLOADING",
      "DATA_DOWNLOADED",
      "COMPUTING",
      "COMPUTED",
      "CAN_CONTRIBUTE",
      "CONTRIBUTING",
    ] as const;
    for (const status of stages) {
      const { kind } = await this.report(
        taskId,
        status,
        status === "COMPUTED" ? { details: { exitCode: 0, computeLogs: { stdout: "hello", stderr: "" } } } : {},
      );
      if (kind !== "stored") throw new Error(`${status}: ${kind}`);
    }
  }

  async interrupted(): Promise<z.output<typeof NOTIFICATIONS>> {
    return NOTIFICATIONS.parse(await (await this.call("GET", "/replicates/interrupted?blockNumber=1")).json());
  }
}

/** A digest nobody else would compute. */
export const digestOf = (n: number): Bytes32 => `0x${n.toString(16).padStart(64, "0")}`;
