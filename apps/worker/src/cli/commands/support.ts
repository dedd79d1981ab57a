import { createReadStream } from "node:fs";
import { type FileHandle, open as openFile } from "node:fs/promises";
import { arch, availableParallelism, release, totalmem, type } from "node:os";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { appendTo, CodedError, writeDurably } from "@iexec-ts/service";
import { VERSION } from "../../version.ts";
import { type Context, type Input, textOption } from "../context.ts";
import { doctor } from "../doctor/doctor.ts";
import { localFacts } from "../facts/local-facts.ts";
import type { Json, Report } from "../report.ts";
import { bytes } from "../view/bytes.ts";
import { tarEnd, tarEntry } from "../view/tar.ts";
import { exact } from "../view/time.ts";
import { configExplain } from "./config.ts";
import { status } from "./status.ts";
import { taskList } from "./task.ts";
import { txList } from "./tx.ts";

const MAX_LOG_BYTES = 8 * 1_024 * 1_024;

/** What must never leave this machine, wherever it stands in a log or a setting. */
const SECRETS: readonly (readonly [RegExp, string])[] = [
  [/(\w+:\/\/)[^/\s:@]+:[^/\s@]+@/g, "$1[redacted]@"],
  [/("?(?:password|private[_-]?key|secret|token|authorization|mnemonic)"?\s*[:=]\s*)("[^"]*"|\S+)/gi, "$1[redacted]"],
  [/(eyJ[\w-]{10,})\.[\w-]+\.[\w-]+/g, "[redacted]"],
];

/** Also keys in the path or query of a node's address, as providers hand them out. */
const NODE_KEY = /(https?:\/\/[^/\s"',]+\/(?:v\d+\/)?)[\w-]{20,}/g;

/** The same text without what could be a secret. */
export const redact = (text: string): string =>
  SECRETS.reduce((left, [pattern, shown]) => left.replace(pattern, shown), text).replace(NODE_KEY, "$1[redacted]");

const asText = (data: Json): string => `${redact(JSON.stringify(data, undefined, 2))}\n`;

/** A part that cannot be made says so in its place: a bundle is wanted most when things are broken. */
async function part(make: () => Promise<Report>): Promise<Json> {
  try {
    return (await make()).data;
  } catch (thrown) {
    return { error: { ...CodedError.from(thrown).toJSON() } };
  }
}

/**
 * Errors: WRK-2014 the file exists.
 * SIDE EFFECTS: writes one file of mode 0600.
 */
export async function supportBundle(context: Context, input: Input): Promise<Report> {
  const stamp = exact(context.clock.now()).replace(/[^\dTZ]/g, "");
  const path = textOption(input, "output") ?? `iexec-worker-support-${stamp}.tar.gz`;
  const log = textOption(input, "log");
  const everything: Input = { args: [], options: { limit: "1000" } };
  const none: Input = { args: [], options: {} };
  context.tell("Looking at everything once...");
  const parts: (readonly [string, string])[] = [
    [
      "about.json",
      asText({
        version: VERSION,
        node: process.version,
        os: `${type()} ${release()} ${arch()}`,
        cpus: availableParallelism(),
        memory: totalmem(),
        at: exact(context.clock.now()),
      }),
    ],
    ["settings.json", asText(await part(() => configExplain(context, none)))],
    ["doctor.json", asText(await part(() => doctor(context, none)))],
    ["status.json", asText(await part(() => status(context)))],
    ["tasks.json", asText(await part(() => taskList(context, everything)))],
    ["history.json", asText(await histories(context))],
    ["transactions.json", asText(await part(() => txList(context, everything)))],
  ];
  if (log !== undefined) parts.push(["worker.log", redact(await tailOf(log))]);
  const files = parts.map(([name, text]) => ({ name, bytes: Buffer.byteLength(text) }));
  await write(path, parts, context.clock.now());
  return {
    data: { path, files: files.map((file) => ({ ...file })) },
    text: (style) =>
      [
        `${style.mark("ok")} wrote ${style.strong(path)}`,
        ...files.map(({ name, bytes: size }) => `   ${name}  ${bytes(size)}`),
        `${style.mark("note")} keys, passwords, signed transactions and the apps' output are left out; look into it before you send it`,
      ].join("\n"),
    next: [`tar -xzf ${path} -O | less`],
  };
}

async function histories(context: Context): Promise<Json> {
  const { journal } = await localFacts(context);
  return (journal?.replicates ?? []).slice(-200).map(({ taskId }) => ({
    taskId,
    history: (journal?.history(taskId) ?? []).map(
      ({ status: name, cause, at }): Json => ({ status: name, cause: cause ?? null, at: exact(at) }),
    ),
  }));
}

/** The last part of a file, whatever its size. */
async function tailOf(path: string): Promise<string> {
  const file = await openFile(path, "r");
  try {
    const { size } = await file.stat();
    let text = "";
    for await (const chunk of createReadStream("", {
      fd: file.fd,
      autoClose: false,
      encoding: "utf8",
      start: Math.max(size - MAX_LOG_BYTES, 0),
    }))
      text += String(chunk);
    return text;
  } finally {
    await file.close();
  }
}

async function write(path: string, parts: readonly (readonly [string, string])[], at: Date): Promise<void> {
  const tar = function* () {
    for (const [name, text] of parts) yield tarEntry(`iexec-worker-support/${name}`, text, at);
    yield tarEnd();
  };
  const archive = (file: FileHandle) => pipeline(tar(), createGzip(), appendTo(file));
  await writeDurably(path, archive, { exclusive: true }).catch((thrown: unknown) => {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "EEXIST") throw new CodedError("WRK-2014", { path });
    throw thrown;
  });
}
