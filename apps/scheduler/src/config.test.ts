import { configProblems, loadConfig } from "@iexec-ts/service";
import { expect, test } from "vitest";
import { schedulerConfig } from "./config.ts";

const REQUIRED = {
  POOL_ADDRESS: `0x${"a".repeat(40)}`,
  IEXEC_HUB_ADDRESS: `0x${"b".repeat(40)}`,
  IEXEC_CORE_WALLET_PASSWORD: "word",
};

test("every setting is documented and none contradicts another", () => {
  expect(configProblems(schedulerConfig)).toEqual([]);
});

test("the names of iexec-core 9 are read", () => {
  const { values } = loadConfig(schedulerConfig, {
    argv: [],
    env: { ...REQUIRED, IEXEC_CORE_PORT: "1234", IEXEC_ASK_REPLICATE_PERIOD: "5000", IEXEC_WORKERS_WHITELIST: REQUIRED.POOL_ADDRESS },
  });
  expect([values.port, values.askForReplicatePeriodMs, values.whitelist]).toEqual([1_234, 5_000, [REQUIRED.POOL_ADDRESS]]);
});
