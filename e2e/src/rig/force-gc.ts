/**
 * Put before a program with `--import`: a full garbage collection each second. What is kept alive only by luck is then gone within a
 * second, not after hours: composite abort signals, weak references, resolvers that nobody holds.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const EVERY_MS = 1_000;

setFlagsFromString("--expose-gc");
const collect: unknown = runInNewContext("gc");
if (typeof collect !== "function") throw new Error("this Node does not let a program force a garbage collection");
setInterval(() => void collect(), EVERY_MS).unref();
