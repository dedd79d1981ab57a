export * from "./api.ts";
export { type ConnectDeps, type ConnectOptions, connectScheduler } from "./client/connect.ts";
export { probeScheduler, type SchedulerProbe } from "./client/probe.ts";
export { configurationHash } from "./messages/configuration.ts";
export { createPushServer, type PushServerOptions } from "./push/push-server.ts";
export { registerSchedulerRoutes, type SchedulerRoutesOptions } from "./server/routes.ts";
