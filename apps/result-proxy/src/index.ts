export { type ResultProxyConfig, resultProxyConfig } from "./config.ts";
export { type ResultProxy, type ResultProxyDeps, start } from "./start.ts";
