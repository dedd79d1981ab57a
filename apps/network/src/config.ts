import { asDecimal, asPort, asSwitch, asText, asWholeNumber, defineConfig, setting, type Values } from "@iexec-ts/service";

/** Settings of `./run network` and `./run demo`. Ports are those of the real stack. */
export const networkConfig = defineConfig({
  name: "iexec-network",
  settings: {
    workers: setting({
      env: ["IEXEC_NETWORK_WORKERS"],
      flag: "--workers",
      unit: "workers",
      doc: "How many workers to start, each with its own wallet.",
      reload: "restart",
      schema: asWholeNumber({ min: 1, max: 50 }).default(3),
    }),
    trust: setting({
      env: ["IEXEC_DEMO_TRUST"],
      flag: "--trust",
      doc: "Trust of the task the demo buys; 5 means that three new workers must agree.",
      reload: "restart",
      schema: asWholeNumber({ min: 1, max: 1_000_000 }).default(5),
    }),
    tasks: setting({
      env: ["IEXEC_DEMO_TASKS"],
      flag: "--tasks",
      unit: "tasks",
      doc: "How many tasks the demo buys in one deal.",
      reload: "restart",
      schema: asWholeNumber({ min: 1, max: 1_000 }).default(1),
    }),
    blockTime: setting({
      env: ["IEXEC_NETWORK_BLOCK_TIME"],
      flag: "--block-time",
      unit: "seconds",
      doc: "Time between blocks; 0 makes a block for each transaction.",
      reload: "restart",
      schema: asDecimal({ min: 0, max: 60 }).default(0),
    }),
    keep: setting({
      env: ["IEXEC_DEMO_KEEP"],
      flag: "--keep",
      doc: "Leave the network running after the demo, until Ctrl-C.",
      reload: "restart",
      schema: asSwitch().default(false),
    }),
    limitSeconds: setting({
      env: ["IEXEC_DEMO_LIMIT"],
      flag: "--limit",
      unit: "seconds",
      doc: "How long the demo, or the start of the network, may take; then it ends and says what it waited for.",
      reload: "restart",
      schema: asWholeNumber({ min: 1, max: 86_400 }).default(900),
    }),
    width: setting({
      env: ["IEXEC_DEMO_WIDTH"],
      flag: "--width",
      unit: "pixels",
      doc: "Width of the demo's picture; its height follows.",
      reload: "restart",
      schema: asWholeNumber({ min: 16, max: 4_096 }).default(320),
    }),
    samples: setting({
      env: ["IEXEC_DEMO_SAMPLES"],
      flag: "--samples",
      doc: "Rays per pixel of the demo's picture: more is smoother and slower.",
      reload: "restart",
      schema: asWholeNumber({ min: 1, max: 4_096 }).default(24),
    }),
    out: setting({
      env: ["IEXEC_DEMO_OUT"],
      flag: "--out",
      doc: "Folder the demo writes its picture to.",
      reload: "restart",
      schema: asText(4_096).default("out"),
    }),
    chainPort: setting({
      env: ["IEXEC_NETWORK_CHAIN_PORT"],
      flag: "--chain-port",
      doc: "Port of the chain; 0 lets the system choose.",
      reload: "restart",
      schema: asPort().default(8_545),
    }),
    schedulerPort: setting({
      env: ["IEXEC_NETWORK_SCHEDULER_PORT"],
      flag: "--scheduler-port",
      doc: "Port of the scheduler; 0 lets the system choose.",
      reload: "restart",
      schema: asPort().default(13_000),
    }),
    resultProxyPort: setting({
      env: ["IEXEC_NETWORK_RESULT_PROXY_PORT"],
      flag: "--result-proxy-port",
      doc: "Port of the result proxy; 0 lets the system choose.",
      reload: "restart",
      schema: asPort().default(13_200),
    }),
    gatewayPort: setting({
      env: ["IEXEC_NETWORK_GATEWAY_PORT"],
      flag: "--gateway-port",
      doc: "Port of the IPFS gateway; 0 lets the system choose.",
      reload: "restart",
      schema: asPort().default(8_080),
    }),
    workerPort: setting({
      env: ["IEXEC_NETWORK_WORKER_PORT"],
      flag: "--worker-port",
      doc: "Port before that of the first worker: worker n listens on this plus n; 0 lets the system choose all.",
      reload: "restart",
      schema: asPort().default(13_100),
    }),
    registryPort: setting({
      env: ["IEXEC_NETWORK_REGISTRY_PORT"],
      flag: "--registry-port",
      doc: "Port of the local image registry; 0 lets the system choose.",
      reload: "restart",
      schema: asPort().default(0),
    }),
    dockerSocket: setting({
      env: ["IEXEC_NETWORK_DOCKER_SOCKET", "DOCKER_HOST"],
      flag: "--docker-socket",
      doc: "Socket of the Docker Engine, as a path or unix:///path. The engine must run on this machine: it shares folders with the workers.",
      reload: "restart",
      schema: asText(4_096)
        .transform((text) => text.replace(/^unix:\/\//, ""))
        .refine((path) => path.startsWith("/"), "expected a path or unix:///path; an engine elsewhere cannot share this machine's folders")
        .default("/var/run/docker.sock"),
    }),
    databaseUrl: setting({
      env: ["DATABASE_URL"],
      flag: "--database-url",
      doc: "Postgres to use instead of the embedded one.",
      reload: "restart",
      secret: true,
      schema: asText(2_048).optional(),
    }),
    logLevel: setting({
      env: ["IEXEC_NETWORK_LOG_LEVEL"],
      flag: "--log-level",
      doc: "How much the services log to standard error.",
      reload: "restart",
      schema: asText(16)
        .transform((text) =>
          text === "debug" || text === "info" || text === "warn" || text === "error" || text === "trace" ? text : "silent",
        )
        .default("silent"),
    }),
  },
});

export type NetworkSettings = Values<(typeof networkConfig)["settings"]>;
