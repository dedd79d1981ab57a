import { JacksonMismatch, JsonNumber, jacksonBoolean, jacksonString, readJacksonObject } from "./jackson.ts";

/** What a requester asks of one task. */
export interface DealParams {
  /** Undefined: the image's own command; see `splitArgs`. */
  readonly args: string | undefined;
  /** URLs, in order; the same URL may come twice. */
  readonly inputFiles: readonly string[];
  readonly encryptResult: boolean;
  /** `ipfs`, `dropbox`, or undefined when the requester did not say. */
  readonly storageProvider: string | undefined;
  readonly storageProxy: string | undefined;
  /** Position (as text) to name of the requester's secrets, TEE only. */
  readonly secrets: Readonly<Record<string, string>>;
  /** CID of the bulk description, TEE only; empty: none. */
  readonly bulkCid: string;
}

const DEFAULTS: DealParams = {
  args: undefined,
  inputFiles: [],
  encryptResult: false,
  storageProvider: undefined,
  storageProxy: undefined,
  secrets: {},
  bulkCid: "",
};

const list = (value: unknown): readonly string[] => {
  if (value === null) return [];
  if (!Array.isArray(value)) throw new JacksonMismatch("not a list");
  return value.map((item) => {
    const text = jacksonString(item);
    if (text === null) throw new JacksonMismatch("no text");
    return text;
  });
};

const texts = (value: unknown): Readonly<Record<string, string>> => {
  if (value === null) return {};
  if (typeof value !== "object" || Array.isArray(value) || value instanceof JsonNumber) throw new JacksonMismatch("not a map");
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]) => {
      const text = jacksonString(item);
      return text === null ? [] : [[key, text]];
    }),
  );
};

const READERS: Readonly<Record<string, (value: unknown) => Partial<DealParams>>> = {
  iexec_args: (value) => ({ args: jacksonString(value) ?? undefined }),
  iexec_input_files: (value) => ({ inputFiles: list(value) }),
  iexec_result_encryption: (value) => ({ encryptResult: jacksonBoolean(value) }),
  iexec_result_storage_provider: (value) => ({ storageProvider: jacksonString(value) ?? undefined }),
  iexec_result_storage_proxy: (value) => ({ storageProxy: jacksonString(value) ?? undefined }),
  iexec_secrets: (value) => ({ secrets: texts(value) }),
  bulk_cid: (value) => ({ bulkCid: jacksonString(value) ?? "" }),
};

/**
 * Reads the free text of a deal the way the Java worker does, because workers must agree on what to compute: a JSON object with known
 * keys only, numbers and booleans accepted where a text is wanted, text after the object ignored. Anything else, one unknown key
 * included, makes the whole text the arguments. The JSON literal `null`, which kills the Java worker's task, gives the defaults.
 *
 * @source DealParams (commons-poco); compute.md 1.7
 */
export function parseDealParams(text: string): DealParams {
  if (text.trim() === "null") return DEFAULTS;
  const members = readJacksonObject(text);
  if (members === undefined) return { ...DEFAULTS, args: text };
  let params = DEFAULTS;
  for (const [key, value] of members) {
    const read = Object.hasOwn(READERS, key) ? READERS[key] : undefined;
    if (read === undefined) return { ...DEFAULTS, args: text };
    try {
      params = { ...params, ...read(value) };
    } catch (error) {
      if (error instanceof JacksonMismatch) return { ...DEFAULTS, args: text };
      throw error;
    }
  }
  return params;
}

/**
 * The text a requester puts in an order for these parameters; fields at their defaults are left out.
 *
 * @source compute.md 1.7
 */
export function formatDealParams(params: Partial<DealParams>): string {
  const { args, inputFiles = [], encryptResult = false, storageProvider, storageProxy, secrets = {}, bulkCid = "" } = params;
  return JSON.stringify({
    ...(args === undefined ? {} : { iexec_args: args }),
    ...(inputFiles.length === 0 ? {} : { iexec_input_files: inputFiles }),
    ...(encryptResult ? { iexec_result_encryption: true } : {}),
    ...(storageProvider === undefined ? {} : { iexec_result_storage_provider: storageProvider }),
    ...(storageProxy === undefined ? {} : { iexec_result_storage_proxy: storageProxy }),
    ...(Object.keys(secrets).length === 0 ? {} : { iexec_secrets: secrets }),
    ...(bulkCid === "" ? {} : { bulk_cid: bulkCid }),
  });
}
