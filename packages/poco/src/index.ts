export * from "./structs.ts";
export * from "./units.ts";
export * from "./status.ts";
