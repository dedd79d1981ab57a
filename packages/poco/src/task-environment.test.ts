import { describe, expect, test } from "vitest";
import { ZERO_ADDRESS } from "./hex.ts";
import { inputFileName, taskEnvironment } from "./task-environment.ts";

const task = {
  taskId: `0x${"11".repeat(32)}`,
  dealId: `0x${"22".repeat(32)}`,
  taskIndex: 4n,
  botFirst: 3n,
  botSize: 2n,
  dataset: "0xABCDEF0000000000000000000000000000000001",
  inputFiles: ["https://a/x", "https://a/y"],
} as const;

test("V7: name of an input file", () => {
  expect(inputFileName("https://example.com/data/input file.csv?x=1")).toBe(
    "0x3a46b431c7b368881f3a6b4463ea40a492373b7e4ba0257f6508c491f1ee9896",
  );
});

describe("environment of a standard app", () => {
  const strict = {
    IEXEC_DEAL_ID: task.dealId,
    IEXEC_TASK_INDEX: "4",
    IEXEC_TASK_ID: task.taskId,
    IEXEC_IN: "/iexec_in",
    IEXEC_OUT: "/iexec_out",
    IEXEC_DATASET_ADDRESS: "0xabcdef0000000000000000000000000000000001",
    IEXEC_DATASET_FILENAME: "0xabcdef0000000000000000000000000000000001",
    IEXEC_BOT_SIZE: "2",
    IEXEC_BOT_FIRST_INDEX: "3",
    IEXEC_BOT_TASK_INDEX: "4",
    IEXEC_INPUT_FILES_NUMBER: "2",
    IEXEC_INPUT_FILES_FOLDER: "/iexec_in",
    IEXEC_INPUT_FILE_NAME_1: inputFileName("https://a/x"),
    IEXEC_INPUT_FILE_NAME_2: inputFileName("https://a/y"),
  };

  test("v9 sets exactly these", () => {
    expect(taskEnvironment(task, "v9")).toEqual(strict);
  });

  test("the union adds v3's names", () => {
    expect(taskEnvironment(task)).toEqual({ ...strict, IEXEC_NB_INPUT_FILES: "2" });
  });

  test("without data, v9 names no input folder", () => {
    const bare = { ...task, dataset: ZERO_ADDRESS, inputFiles: [] };
    expect(taskEnvironment(bare, "v9")).not.toHaveProperty("IEXEC_INPUT_FILES_FOLDER");
    expect(taskEnvironment(bare)).toMatchObject({
      IEXEC_INPUT_FILES_FOLDER: "/iexec_in",
      IEXEC_INPUT_FILES_NUMBER: "0",
      IEXEC_NB_INPUT_FILES: "0",
      IEXEC_DATASET_ADDRESS: ZERO_ADDRESS,
      IEXEC_DATASET_FILENAME: ZERO_ADDRESS,
    });
  });
});
