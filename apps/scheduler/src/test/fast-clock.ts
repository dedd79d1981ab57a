import { type Clock, systemClock } from "@iexec-ts/service";

/** The system's clock whose sleeps are shorter by a factor, so that a test of a wait of minutes takes moments. */
export const fastClock = (factor: number): Clock => ({ ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms / factor, signal) });
