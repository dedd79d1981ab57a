import { readFileSync } from "node:fs";
import { join } from "node:path";
import { getAbiItem, toEventSelector, toFunctionSelector } from "viem";
import { expect, test } from "vitest";
import { GENERATED_FOLDER, generateAbis } from "../tools/generate-abis.ts";
import { EVENT_TOPICS, POLICY_UPDATE_TOPIC } from "./events.ts";
import { WORKERPOOL_ABI } from "./generated/assets-abi.ts";
import { HUB_ABI } from "./generated/hub-abi.ts";

test("generating the ABIs again gives the same text", () => {
  for (const [file, text] of generateAbis()) expect(readFileSync(join(GENERATED_FOLDER, file), "utf8"), file).toBe(text);
});

test("selectors are those of the contracts", () => {
  const selectors = {
    matchOrders: "0x156194d4",
    sponsorMatchOrders: "0x2f391533",
    initialize: "0x5b36c66b",
    contribute: "0x34623484",
    reveal: "0xfc334e8c",
    finalize: "0x8fc375e5",
    contributeAndFinalize: "0x5facd761",
    reopen: "0xf6c68e10",
    claim: "0xbd66528a",
    deposit: "0xb6b55f25",
    withdraw: "0x2e1a7d4d",
  } as const;
  for (const item of HUB_ABI) {
    if (item.type !== "function" || !Object.hasOwn(selectors, item.name)) continue;
    expect([item.name, toFunctionSelector(item)]).toEqual([item.name, Object.entries(selectors).find(([name]) => name === item.name)?.[1]]);
  }
});

test("topics are those of the events in the ABI", () => {
  const topics = Object.fromEntries(HUB_ABI.flatMap((item) => (item.type === "event" ? [[item.name, toEventSelector(item)]] : [])));
  expect(topics).toMatchObject(EVENT_TOPICS);
  expect(toEventSelector(getAbiItem({ abi: WORKERPOOL_ABI, name: "PolicyUpdate" }))).toBe(POLICY_UPDATE_TOPIC);
});
