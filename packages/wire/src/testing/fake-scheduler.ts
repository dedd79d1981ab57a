import { once } from "node:events";
import { type IncomingHttpHeaders, request } from "node:http";
import type { Socket } from "node:net";
import type { Address, TaskId } from "@iexec-ts/poco";
import { type Clock, systemClock } from "@iexec-ts/service";
import { type FastifyInstance, fastify } from "fastify";
import { privateKeyToAccount } from "viem/accounts";
import type {
  Assignment,
  PublicConfiguration,
  PushServer,
  ReportAnswer,
  SchedulerPort,
  StatusReport,
  TaskNotification,
  WorkerDescription,
} from "../api.ts";
import { createPushServer } from "../push/push-server.ts";
import { registerSchedulerRoutes } from "../server/routes.ts";

/** The key of the vectors in wire.md 1.3. */
export const ACCOUNT = privateKeyToAccount("0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318");
export const WALLET: Address = "0x2c7536e3605d9c16a7a3d7b1898e529396a65c23";
export const OTHER_WALLET: Address = "0x00000000000000000000000000000000000000aa";
export const TASK: TaskId = `0x${"11".repeat(32)}`;
export const OTHER_TASK: TaskId = `0x${"22".repeat(32)}`;
export const LOGIN_KEY = new Uint8Array(32).fill(7);

export const ASSIGNMENT: Assignment = {
  authorization: {
    chainTaskId: TASK,
    dealId: `0x${"33".repeat(32)}`,
    taskIndex: 0,
    workerWallet: WALLET,
    enclaveChallenge: "0x0000000000000000000000000000000000000000",
    signature: { value: `0x${"44".repeat(65)}` },
  },
  smsUrl: undefined,
};

export const ME: WorkerDescription = {
  name: "worker",
  walletAddress: WALLET,
  os: "Linux",
  cpu: "amd64",
  cpuNb: 3,
  memorySize: 16,
  gpuEnabled: false,
  teeEnabled: false,
  tdxEnabled: false,
};

export const notificationOf = (part: Partial<TaskNotification> = {}): TaskNotification => ({
  taskId: TASK,
  action: "PLEASE_REVEAL",
  workers: [WALLET],
  blockNumber: 5n,
  abortCause: undefined,
  smsUrl: undefined,
  authorization: undefined,
  ...part,
});

export const reportOf = (part: Partial<StatusReport> = {}): StatusReport => ({
  taskId: TASK,
  seq: 1,
  status: "RUNNING",
  at: new Date("2026-01-02T03:04:05.678Z"),
  ...part,
});

/** A scheduler's state in memory; each test sets what it needs. */
export class FakePort implements SchedulerPort {
  readonly version = "9.3.0";
  settings: PublicConfiguration = {
    workerPoolAddress: "0x00000000000000000000000000000000000000bb",
    schedulerPublicAddress: "0x00000000000000000000000000000000000000cc",
    configServerUrl: "",
    resultRepositoryURL: "http://127.0.0.1:1",
    askForReplicatePeriod: 20,
    requiredWorkerVersion: "",
  };
  allowed = true;
  offers: Assignment[] = [];
  missed: TaskNotification[] = [];
  readonly registered: WorkerDescription[] = [];
  readonly pings: Address[] = [];
  readonly reports: StatusReport[] = [];
  readonly waits: number[] = [];
  readonly aborted: unknown[] = [];
  answer: (report: StatusReport) => ReportAnswer = () => ({ kind: "stored", action: undefined });
  readonly #waiting = new Set<() => void>();

  configuration(): PublicConfiguration {
    return this.settings;
  }

  chainConfiguration() {
    return {
      chainId: 134,
      sidechain: true,
      chainNodeUrl: "http://127.0.0.1:8545",
      iexecHubContractAddress: WALLET,
      blockTime: "PT5S",
    };
  }

  async isAllowed(): Promise<boolean> {
    return this.allowed;
  }

  async register(_wallet: Address, me: WorkerDescription): Promise<void> {
    this.registered.push(me);
  }

  async ping(wallet: Address): Promise<void> {
    this.pings.push(wallet);
  }

  async computing(): Promise<readonly TaskId[]> {
    return [TASK];
  }

  offer(assignment: Assignment): void {
    this.offers.push(assignment);
    for (const wake of this.#waiting) wake();
  }

  async demand(_wallet: Address, { waitMs }: { readonly waitMs: number }, signal: AbortSignal): Promise<Assignment | undefined> {
    this.waits.push(waitMs);
    if (this.offers.length === 0 && waitMs > 0) {
      const woken = Promise.withResolvers<void>();
      this.#waiting.add(woken.resolve);
      signal.addEventListener("abort", () => {
        this.aborted.push(signal.reason);
        woken.resolve();
      });
      await woken.promise;
      this.#waiting.delete(woken.resolve);
    }
    return this.offers.shift();
  }

  async interrupted(): Promise<readonly TaskNotification[]> {
    return this.missed;
  }

  async report(_wallet: Address, report: StatusReport): Promise<ReportAnswer> {
    this.reports.push(report);
    return this.answer(report);
  }
}

export interface RunningScheduler {
  readonly app: FastifyInstance;
  readonly port: FakePort;
  readonly push: PushServer;
  readonly url: string;
  readonly tcpPort: number;
  /** `METHOD path` of each request, without query. */
  readonly requests: string[];
  readonly headers: IncomingHttpHeaders[];
  /** Cuts every connection, upgraded ones too. */
  cut(): void;
  stop(): Promise<void>;
}

export interface StartOptions {
  readonly port?: FakePort;
  readonly tcpPort?: number;
  readonly websocket?: boolean;
  /** Answers 404 to /v1, as a Java core. */
  readonly native?: boolean;
  readonly clock?: Clock;
  readonly loginKey?: Uint8Array;
  readonly v9WaitMs?: number;
}

export async function startScheduler(options: StartOptions = {}): Promise<RunningScheduler> {
  const { port = new FakePort(), clock = systemClock, loginKey = LOGIN_KEY, native = true } = options;
  const app = fastify({ forceCloseConnections: true, routerOptions: { maxParamLength: 512 } });
  const requests: string[] = [];
  const headers: IncomingHttpHeaders[] = [];
  const sockets = new Set<Socket>();
  app.server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  app.addHook("onRequest", async (request, reply) => {
    requests.push(`${request.method} ${request.url.split("?")[0]}`);
    headers.push(request.headers);
    if (!native && request.url.startsWith("/v1/")) return reply.code(404).send({ status: 404 });
    return undefined;
  });
  registerSchedulerRoutes(app, port, { loginKey, clock, v9WaitMs: options.v9WaitMs ?? 0 });
  const push = createPushServer(app, { websocket: options.websocket ?? true });
  await app.listen({ host: "127.0.0.1", port: options.tcpPort ?? 0 });
  const tcpPort = Number(new URL(app.listeningOrigin).port);
  return {
    app,
    port,
    push,
    requests,
    headers,
    url: `http://127.0.0.1:${tcpPort}`,
    tcpPort,
    cut: () => {
      for (const socket of sockets) socket.destroy();
    },
    stop: async () => {
      await app.close();
    },
  };
}

export interface RawAnswer {
  readonly status: number;
  readonly text: string;
  readonly type: string | undefined;
}

/** One request exactly as given, as a Java client would put it on the wire: JSON content type even without a body. */
export async function rawRequest(
  method: string,
  url: string,
  options: { readonly token?: string; readonly body?: string; readonly headers?: Record<string, string> } = {},
): Promise<RawAnswer> {
  const outgoing = request(url, {
    method,
    agent: false,
    headers: {
      "content-type": "application/json",
      ...(method === "POST" ? { "content-length": String(Buffer.byteLength(options.body ?? "")) } : {}),
      ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
      ...options.headers,
    },
  });
  outgoing.end(options.body);
  const [response] = await once(outgoing, "response");
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += chunk;
  return { status: response.statusCode, text, type: response.headers["content-type"] };
}

/** Resolves once the condition holds; looks again after each turn of the event loop. Tests only. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** The host's clock with a date that can be moved. */
export function movableClock(): Clock & { advance(ms: number): void } {
  let ahead = 0;
  return {
    ...systemClock,
    now: () => new Date(Date.now() + ahead),
    advance: (ms) => {
      ahead += ms;
    },
  };
}
