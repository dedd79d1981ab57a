import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Wallet as OtherWallet } from "@ethereumjs/wallet";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CodedError } from "../errors/coded-error.ts";
import type { Random } from "../random.ts";
import { encryptKeystore, openKeystore, readKeystore, writeKeystore } from "./keystore.ts";
import { parseKeystore } from "./parse.ts";

const KEY = "0x7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";
const ADDRESS = "0x008aeeda4d805471df9b2a5b0f38a0c3bcba786b";
const LIGHT = { n: 4_096 };

const CIPHER = { cipher: "aes-128-ctr" };
const ID = { id: "3198bc9c-6672-5ab3-d995-4942343ae5b6", version: 3 };

/** @source Web3 Secret Storage Definition, test vectors; geth accounts/keystore/testdata */
const SCRYPT = {
  crypto: {
    ...CIPHER,
    cipherparams: { iv: "83dbcc02d8ccb40e466191a123791e0e" },
    ciphertext: "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
    kdf: "scrypt",
    kdfparams: { dklen: 32, n: 262_144, r: 1, p: 8, salt: "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19" },
    mac: "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097",
  },
  ...ID,
};
const PBKDF2 = {
  crypto: {
    ...CIPHER,
    cipherparams: { iv: "6087dab2f9fdbbfaddc31a909735c1e6" },
    ciphertext: "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
    kdf: "pbkdf2",
    kdfparams: { c: 262_144, dklen: 32, prf: "hmac-sha256", salt: "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd" },
    mac: "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
  },
  ...ID,
};
const SHORT_KEY = {
  crypto: {
    ...CIPHER,
    cipherparams: { iv: "3ca92af36ad7c2cd92454c59cea5ef00" },
    ciphertext: "108b7d34f3442fc26ab1ab90ca91476ba6bfa8c00975a49ef9051dc675aa",
    kdf: "scrypt",
    kdfparams: { dklen: 32, n: 2, r: 8, p: 1, salt: "d0769e608fb86cda848065642a9c6fa046845c928175662b8e356c77f914cd3b" },
    mac: "75d0e6759f7b3cefa319c3be41680ab6beea7d8328653474bd06706d4cc67420",
  },
  ...ID,
};
const VERY_LIGHT = {
  address: "45dea0fb0bba44f4fcf290bba71fd57d7117cbb8",
  crypto: {
    ...CIPHER,
    ciphertext: "b87781948a1befd247bff51ef4063f716cf6c2d3481163e9a8f42e1f9bb74145",
    cipherparams: { iv: "dc4926b48a105133d2f16b96833abf1e" },
    kdf: "scrypt",
    kdfparams: { dklen: 32, n: 2, p: 1, r: 8, salt: "004244bbdc51cadda545b1cfa43cff9ed2ae88e08c61f1479dbb45410722f8f0" },
    mac: "39990c1684557447940d4c69e06b1b82b2aceacb43f284df65c956daf3046b85",
  },
  ...ID,
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "keystore-"));
});
afterAll(() => rm(folder, { recursive: true }));

const codeOf = async (run: () => unknown): Promise<string> => {
  try {
    await run();
  } catch (thrown) {
    return CodedError.from(thrown).code;
  }
  return "none";
};

// Full-strength derivations: seconds of both cores when the machine is busy.
describe("vectors", { timeout: 240_000 }, () => {
  test.each([
    ["scrypt", SCRYPT, "testpassword", KEY],
    ["pbkdf2", PBKDF2, "testpassword", KEY],
    ["a key of 30 bytes", SHORT_KEY, "foo", "0x000081c29e8142bb6a81bef5a92bda7a8328a5c85bb2f9542e76f9b0f94fc018"],
  ])("%s opens", async (_, vector, password, key) => {
    const wallet = await openKeystore(JSON.stringify(vector), password);
    expect(wallet.privateKey.reveal()).toBe(key);
  });

  test("the same key, password, salt and iv give geth's bytes", async () => {
    const { address, privateKey } = await openKeystore(JSON.stringify(VERY_LIGHT), "");
    expect(address).toBe(`0x${VERY_LIGHT.address}`);
    const known: Random = {
      float: () => 0,
      bytes: (length) =>
        new Uint8Array(Buffer.from(length === 32 ? VERY_LIGHT.crypto.kdfparams.salt : VERY_LIGHT.crypto.cipherparams.iv, "hex")),
    };
    const written: unknown = JSON.parse(await encryptKeystore(privateKey.reveal(), "", { n: 2, random: known }));
    expect(written).toMatchObject({ address: VERY_LIGHT.address, crypto: VERY_LIGHT.crypto, version: 3 });
  });

  test("the standard form takes geth's N, r and p", async () => {
    const text = await encryptKeystore(KEY, "p");
    expect(parseKeystore(text, "k").crypto.kdfparams).toMatchObject({ n: 262_144, r: 8, p: 1, dklen: 32 });
    expect((await openKeystore(text, "p")).address).toBe(ADDRESS);
  });
});

describe("with @ethereumjs/wallet", () => {
  const password = "pass wörd ✓";

  test("it opens ours", async () => {
    const other = await OtherWallet.fromV3(await encryptKeystore(KEY, password, LIGHT), password);
    expect(other.getPrivateKeyString()).toBe(KEY);
  });

  test.each(["scrypt", "pbkdf2"])("we open its %s form", async (kdf) => {
    const other = OtherWallet.fromPrivateKey(Buffer.from(KEY.slice(2), "hex"));
    const text = JSON.stringify(await other.toV3(password, { kdf, n: 4_096, c: 4_096 }));
    expect(await openKeystore(text, password).then((wallet) => wallet.privateKey.reveal())).toBe(KEY);
  });
});

describe("other writers", () => {
  test("ethers' capital Crypto and a 0x address in mixed case are read", async () => {
    const parsed: unknown = JSON.parse(await encryptKeystore(KEY, "p", LIGHT));
    const { crypto, ...rest } = Object(parsed);
    const text = JSON.stringify({ ...rest, Crypto: crypto, address: "0x008AeEda4D805471dF9b2A5B0f38A0C3bCBA786b", "x-ethers": {} });
    expect((await openKeystore(text, "p")).address).toBe(ADDRESS);
  });

  test("a password that the writer normalised still opens", async () => {
    const [composed, decomposed] = ["caf\u00e9", "cafe\u0301"];
    expect((await openKeystore(await encryptKeystore(KEY, composed, LIGHT), decomposed)).address).toBe(ADDRESS);
    expect((await openKeystore(await encryptKeystore(KEY, decomposed, LIGHT), decomposed)).address).toBe(ADDRESS);
    expect(await codeOf(async () => openKeystore(await encryptKeystore(KEY, decomposed, LIGHT), composed))).toBe("SVC-1302");
  });
});

describe("what is wrong has its own code", () => {
  const variant = (change: (vector: typeof VERY_LIGHT) => unknown): string => JSON.stringify(change(structuredClone(VERY_LIGHT)));
  const scryptParams = (kdfparams: object): string =>
    variant((v) => ({ ...v, crypto: { ...v.crypto, kdfparams: { ...v.crypto.kdfparams, ...kdfparams } } }));
  const cryptoParts = (parts: object): string => variant((v) => ({ ...v, crypto: { ...v.crypto, ...parts } }));

  test.each([
    ["nothing", "", "SVC-1301"],
    ["no JSON", "hello", "SVC-1301"],
    ["another JSON", '{"a":1}', "SVC-1301"],
    ["version 1", variant((v) => ({ ...v, version: "1" })), "SVC-1301"],
    ["both crypto and Crypto", variant((v) => ({ ...v, Crypto: v.crypto, crypto: undefined })).replace("{", '{"crypto":{},'), "SVC-1301"],
    ["scrypt that wants 128 GiB", scryptParams({ n: 2 ** 24, r: 64 }), "SVC-1301"],
    ["scrypt that wants minutes", scryptParams({ n: 262_144, r: 8, p: 64 }), "SVC-1301"],
    ["N that is no power of two", scryptParams({ n: 3 }), "SVC-1301"],
    ["N of one", scryptParams({ n: 1 }), "SVC-1301"],
    ["a derived key too short for a MAC", scryptParams({ dklen: 16 }), "SVC-1301"],
    ["a huge derived key", scryptParams({ dklen: 2 ** 31 }), "SVC-1301"],
    ["a huge salt", scryptParams({ salt: "ab".repeat(10_000) }), "SVC-1301"],
    ["endless pbkdf2", cryptoParts({ kdf: "pbkdf2", kdfparams: { ...PBKDF2.crypto.kdfparams, c: 1e12 } }), "SVC-1301"],
    ["a cipher we do not know", cryptoParts({ cipher: "aes-128-cbc" }), "SVC-1301"],
    ["a long ciphertext", cryptoParts({ ciphertext: "ab".repeat(33) }), "SVC-1301"],
    ["a very long file", " ".repeat(10) + "x".repeat(100_000), "SVC-1301"],
    ["a raw key", KEY, "SVC-1305"],
    ["a raw key without 0x in quotes", `"${KEY.slice(2)}"\n`, "SVC-1305"],
    ["a key member", JSON.stringify({ privateKey: KEY }), "SVC-1305"],
    ["a seed phrase", "test test test test test test test test test test test junk", "SVC-1305"],
    ["the placeholder", "PASTE_YOUR_WALLET_HERE\n", "SVC-1306"],
    ["the wrong password", variant((v) => ({ ...v, crypto: { ...v.crypto, mac: "00".repeat(32) } })), "SVC-1302"],
    ["another address", variant((v) => ({ ...v, address: ADDRESS })), "SVC-1304"],
  ])("%s", async (_, text, code) => {
    expect(await codeOf(() => openKeystore(text, ""))).toBe(code);
  });

  test("no message, argument or cause repeats the content or the password", async () => {
    for (const text of [KEY, `{"privateKey":"${KEY}"}`, `{"x":"${KEY}"`, variant((v) => ({ ...v, address: ADDRESS }))]) {
      try {
        await openKeystore(text, "hunter2", "w.json");
        expect.unreachable();
      } catch (thrown) {
        const { message, fix, args, cause } = CodedError.from(thrown);
        const shown = JSON.stringify([message, fix, args, String(cause)]);
        expect(shown).not.toContain(KEY.slice(4, 20));
        expect(shown).not.toContain("hunter2");
      }
    }
  });

  test("a key outside the curve is refused without being shown", async () => {
    for (const key of [`0x${"0".repeat(64)}`, `0x${"f".repeat(64)}`, "0x12"] as const) {
      const failure = await encryptKeystore(key, "p", LIGHT).catch(CodedError.from);
      expect(failure).toMatchObject({ code: "SVC-1309" });
      expect(CodedError.from(failure).cause).toBeUndefined();
    }
  });

  test("no text makes the parser throw anything but a code", () => {
    const codes = ["SVC-1301", "SVC-1305", "SVC-1306"];
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.object().map((o) => JSON.stringify({ ...VERY_LIGHT, crypto: { ...VERY_LIGHT.crypto, ...o } })),
        ),
        (text) => {
          try {
            parseKeystore(text, "k");
          } catch (thrown) {
            expect(thrown).toBeInstanceOf(CodedError);
            expect(codes).toContain(CodedError.from(thrown).code);
          }
        },
      ),
    );
  });
});

describe("files", () => {
  test("are private, whole, readable with their password, and leave nothing beside them", async () => {
    const path = join(folder, "wallet.json");
    const { address } = await writeKeystore(path, KEY, "p", LIGHT);
    expect(address).toBe(ADDRESS);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await readKeystore(path, "p")).privateKey.reveal()).toBe(KEY);
    expect(await readdir(folder)).toEqual(["wallet.json"]);
    expect(await codeOf(() => readKeystore(path, "q"))).toBe("SVC-1302");
  });

  test("are never overwritten, not even by two writers at once", async () => {
    const path = join(folder, "race.json");
    const outcomes = await Promise.all([1, 2, 3].map(() => codeOf(() => writeKeystore(path, KEY, "p", LIGHT))));
    expect(outcomes.sort()).toEqual(["SVC-1307", "SVC-1307", "none"]);
    await writeFile(join(folder, "mine"), "precious");
    expect(await codeOf(() => writeKeystore(join(folder, "mine"), KEY, "p", LIGHT))).toBe("SVC-1307");
    expect(await readFile(join(folder, "mine"), "utf8")).toBe("precious");
    expect((await readdir(folder)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  test("that cannot be read or written have their codes", async () => {
    expect(await codeOf(() => readKeystore(join(folder, "none.json"), "p"))).toBe("SVC-1303");
    expect(await codeOf(() => readKeystore(folder, "p"))).toBe("SVC-1303");
    expect(await codeOf(() => writeKeystore(join(folder, "none", "w.json"), KEY, "p", LIGHT))).toBe("SVC-1308");
    await writeFile(join(folder, "long.json"), "x".repeat(200_000));
    expect(await codeOf(() => readKeystore(join(folder, "long.json"), "p"))).toBe("SVC-1301");
  });
});
