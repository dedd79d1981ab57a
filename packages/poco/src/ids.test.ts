import { keccak256, sha256, toHex } from "viem";
import { mnemonicToAccount, privateKeyToAccount, sign } from "viem/accounts";
import { describe, expect, test } from "vitest";
import {
  authorizationSigner,
  expectedAuthorizationSigner,
  isAuthorizationConsistent,
  workerpoolAuthorizationSchema,
} from "./authorization.ts";
import { lowerHex, ZERO_ADDRESS, ZERO_BYTES32 } from "./hex.ts";
import { authorizationHashOf, computeApiChallengeOf, dealIdOf, enclaveMessageOf, resultHashOf, resultSealOf, taskIdOf } from "./ids.ts";
import { isLoginSignature, loginChallengeDigest } from "./login.ts";
import { NETWORKS } from "./networks.ts";
import { domainSeparatorOf, hashAppOrder, hashRequestOrder, hashWorkerpoolOrder, orderTypedData } from "./orders.ts";
import { personalSigner, rawSigner } from "./signature.ts";
import { web2SecretChallenge } from "./sms-challenges.ts";
import type { Hex } from "./structs.ts";
import { nanoRlc } from "./units.ts";

const junk = (addressIndex: number) => mnemonicToAccount("test test test test test test test test test test test junk", { addressIndex });

describe("chain.md 20.1", () => {
  const domain = { chainId: 421614, verifyingContract: "0xB2157BF2fAb286b2A4170E3491Ac39770111Da3E" } as const;
  const salt = keccak256("0x01");
  const tag = `0x${"9".padStart(64, "0")}` as const;
  const request = {
    app: "0x1111111111111111111111111111111111111111",
    appmaxprice: 10n,
    dataset: ZERO_ADDRESS,
    datasetmaxprice: 0n,
    workerpool: "0x3333333333333333333333333333333333333333",
    workerpoolmaxprice: 1000n,
    requester: "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65",
    volume: 5n,
    tag,
    category: 0n,
    trust: 1n,
    beneficiary: "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65",
    callback: ZERO_ADDRESS,
    params: '{"iexec_args":"hello"}',
    salt,
  } as const;
  const requestHash = "0x35ac302c215066b56e6744399454059d96aa9d1a392c975e8410c7ba10f661ee";
  const dealId = "0x8ce33a57279f82f88fc49e341709efcc4953d092b29846b594b2723b7c47b6df";
  const taskId = "0xfe533a350e9f746cf60ecd586ee42195b6044fae4fc34fdfd32babe19d851537";
  const digest = keccak256(toHex("result"));
  const worker = "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc";
  const enclave = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A";

  test("orders", async () => {
    expect(hashRequestOrder(request, domain)).toBe(requestHash);
    expect(await junk(4).signTypedData(orderTypedData("RequestOrder", request, domain))).toBe(
      "0x12350a8b49399fb1cbed7e909bcc04aea37f61b055fc1c062b77e865d820c8d705d62538abf06a773bec31fac3636dc3da64a0ffb04ae8a5f0de8e2ed845d6661c",
    );
    const free = { datasetrestrict: ZERO_ADDRESS, requesterrestrict: ZERO_ADDRESS, salt } as const;
    expect(
      hashAppOrder({ app: request.app, appprice: 3n, volume: 1000n, tag: ZERO_BYTES32, workerpoolrestrict: ZERO_ADDRESS, ...free }, domain),
    ).toBe("0xf1f1a8f1efdc4b7d026b7bbdc0634344145f0ec7ac9ae93cd6eec83c8e62970c");
    expect(
      hashWorkerpoolOrder(
        {
          workerpool: request.workerpool,
          workerpoolprice: 1000n,
          volume: 5n,
          tag,
          category: 0n,
          trust: 1n,
          apprestrict: ZERO_ADDRESS,
          ...free,
        },
        domain,
      ),
    ).toBe("0xd501ffde517b679c55bcc89fc6b7417412bf74e2e8c5f1d6a308299937d5849c");
  });

  test("ids, hash and seal", () => {
    expect(dealIdOf(requestHash, 0n)).toBe(dealId);
    expect(dealIdOf(requestHash, 3n)).toBe("0x7c015a10612274c502fc750363e0079f4d5eb4d2b4d8d257a95dcb78b34bb1b1");
    expect(taskIdOf(dealId, 0n)).toBe(taskId);
    expect(taskIdOf(dealId, 1n)).toBe("0x424a504bf3f952e8207f0c1c67a9167ee3e342f0f5faeef22cbebf5d11afe430");
    expect(digest).toBe("0x06b0a4f426f6713234b2d4b2468640bc4e0bb72657a920ad24c5087153c593c8");
    expect(resultHashOf(taskId, digest)).toBe("0x480bbfcb0973e3b1a544134dc8679aa630572626f20accd4d2bfffb6cda2ad3f");
    expect(resultSealOf(worker, taskId, digest)).toBe("0xfe48b9994dfc539737180b1ec0452626aebbc4da9d59539662016ccadf7a93b4");
  });

  test("authorization and enclave signature", async () => {
    const hash = authorizationHashOf(worker, taskId, enclave);
    expect(hash).toBe("0xa6c0140feb1c7e1ba7a7950f0077239ac300b4b1649110abb8757692f65aab58");
    const value =
      "0x23fe217c1f783c9e24880556ff4eda98cf4d1cb66905f8880a91eac01997149c067177d3cb1786ae77a86335f986c8d2c43251ef3f4a981aa7ec64298d1f84331c";
    expect(await junk(3).signMessage({ message: { raw: hash } })).toBe(value);
    const authorization = workerpoolAuthorizationSchema.parse({
      chainTaskId: taskId,
      dealId,
      taskIndex: 0,
      workerWallet: worker,
      enclaveChallenge: enclave,
      signature: { value },
      unknown: true,
    });
    expect(await authorizationSigner(authorization)).toBe(lowerHex(junk(3).address));
    expect(isAuthorizationConsistent(authorization)).toBe(true);
    expect(isAuthorizationConsistent({ ...authorization, taskIndex: 1 })).toBe(false);
    expect(await authorizationSigner({ ...authorization, workerWallet: ZERO_ADDRESS })).not.toBe(lowerHex(junk(3).address));

    const message = enclaveMessageOf(resultHashOf(taskId, digest), resultSealOf(worker, taskId, digest));
    expect(message).toBe("0xc7badaa3a73280f3f34e5db8558700f5a17ff6cd0772bd5e13aea43cbf62f0f2");
    expect(
      await personalSigner(
        message,
        "0xdb7c53acbea7ed881255a506bf5f9b80e8f34a7f307acbbf5832c7cd82da35642ddff05b34943146096dc6dcf8b894661fa0b8a79e07ba3dbf932cc196b1406a1b",
      ),
    ).toBe(lowerHex(enclave));
  });

  test("domain separators of the networks", () => {
    for (const { chainId, hub, domainSeparator } of Object.values(NETWORKS)) {
      expect(domainSeparatorOf({ chainId, verifyingContract: hub })).toBe(domainSeparator);
    }
  });
});

describe("compute.md V6, V8", () => {
  const worker = privateKeyToAccount(`0x${"44".repeat(32)}`);
  const enclave = privateKeyToAccount(`0x${"33".repeat(32)}`);
  const W = lowerHex(worker.address);
  const E = lowerHex(enclave.address);
  const T = `0x${"11".repeat(32)}` as const;
  const digest = "0x7f6aa116d9bcbd06ae7737dec5d8294b9ffe855e84bae1b5027c885fb1f932d3";

  test("hashes and signatures", async () => {
    expect([W, E]).toEqual(["0x7564105e977516c53be337314c7e53838967bdac", "0x5cbdd86a2fa8dc4bddd8a8f69dba48572eec07fb"]);
    const hash = resultHashOf(T, digest);
    const seal = resultSealOf(W, T, digest);
    expect(hash).toBe("0xc81e18ccfb0460e3b9592fc7daae0048deba4505227dd067f55d31154f2fc8b3");
    expect(seal).toBe("0x40c92c5b9cfb38805e8e06549e787d0ba825c9fbe83c5fd48257c67e14f64fca");
    expect(enclaveMessageOf(hash, seal)).toBe("0xac8f1700fd878cb9372b09ed8166e1d287c955e61e0c4195d03e42746c620fee");
    expect(await enclave.signMessage({ message: { raw: enclaveMessageOf(hash, seal) } })).toBe(
      "0x57e5e08c8ddd6c38eaacc2b249b85b0921a440430541732230abfdc76a88e8bd6ae888309f97fece55502b48c75337a3007b6166df087a45debafc7d9a6d2eca1c",
    );
    expect(computeApiChallengeOf(T, W)).toBe("0x9f2dfad6f4d1411746c04ea175d73d503a4b98a531eb74f767e9ee93fe754c3d");
    expect(await enclave.signMessage({ message: { raw: computeApiChallengeOf(T, W) } })).toBe(
      "0x06968cb85e5f2387ad045eebb62558a05d1e5e10942f86ed150423025e622a5e4c4d7b4730ede7fc6d7975ffc91dfbe6cba3fdf5f6b7128552bd3047fddc7f6a1b",
    );
    expect(authorizationHashOf(W, T, E)).toBe("0x49c7d5852e3aac2c826e56f3b81b367d1721dbd7e08212e0307d2789c0e1a3d8");
    expect(await worker.signMessage({ message: { raw: authorizationHashOf(W, T, E) } })).toBe(
      "0x0c08e20cb0886e99f8d1e339c30c1b2f91223b19d33965c1c74c8266b1db0db7792b72cc7cf4f4d04fa32e8d41e649fc315f6057152fab5089294be6aa03347c1b",
    );
  });

  test("SMS challenge", () => {
    expect(web2SecretChallenge(`0x${"22".repeat(20)}`, "iexec-result-iexec-ipfs-token", "my.jwt.token")).toBe(
      "0x300251437ac0f32bf63d513dd9d41346e14c592ae1585a417d8acdcb4590591b",
    );
  });
});

describe("wire.md 1.3 and 6.9", () => {
  const key = "0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
  const account = privateKeyToAccount(key);
  const wallet = "0x2c7536e3605d9c16a7a3d7b1898e529396a65c23";
  const challenge = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789+/abcdE=";
  const signature =
    "0xe8eb403d179a5ffaea2fc0a437d8adfdf17ad5241c93ede575ae56f099a76c443c1410edf51fd9839da16598b69d513ca93c91fadcde77e29fa7c5cb3181be801c";

  test("login", async () => {
    const digest = loginChallengeDigest(challenge);
    expect(digest).toBe("0x402cf3a7fee508ea598c44885a7b4f9a0e85f1cd9573226ebbbf8748e545d2fe");
    expect(await sign({ hash: digest, privateKey: key, to: "hex" })).toBe(signature);
    expect(await isLoginSignature(challenge, signature, wallet)).toBe(true);
    expect(await isLoginSignature(challenge, `0x${signature.slice(2, -2)}00`, account.address)).toBe(true);
    expect(await isLoginSignature(`${challenge}x`, signature, wallet)).toBe(false);
    expect(await isLoginSignature(challenge, "0x", wallet)).toBe(false);
  });

  test("hashes", async () => {
    const taskId = taskIdOf(`0x${"11".repeat(32)}`, 3n);
    expect(taskId).toBe("0x3b31255a9f930bb80359c3ba2fef22133cd773f2653bd87c6035861658aa0882");
    const hash = authorizationHashOf(wallet, taskId, ZERO_ADDRESS);
    expect(hash).toBe("0x49a17f978a48b82b583c7998a7a7ef34ef95b8b69addf9a65773bd24bef2bed7");
    expect(await account.signMessage({ message: { raw: hash } })).toBe(
      "0xc94252e2a9d5f08564b08c92b6f07a6a15dd8f148f33070baf8e38a1eca87a0b50588eb81092993a23efada626e807aa24bb01349ffeb4762c73c30081398a3f1c",
    );
    const digest = sha256(toHex("hello"));
    expect(resultHashOf(taskId, digest)).toBe("0xc30094b1c38e769e33167d23dcefe034f77eee11056102c41520d181498907d6");
    expect(resultSealOf(wallet, taskId, digest)).toBe("0xac3f2212f51ce6b64747e5868e67e4a0e94a79334abd3c5295b63c9490d02909");
  });
});

describe("forms of a signature", () => {
  const account = privateKeyToAccount(`0x${"44".repeat(32)}`);
  const hash = keccak256("0x1234");
  const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

  test("65 bytes and 64 bytes recover the same signer, as on chain", async () => {
    const full = await account.signMessage({ message: { raw: hash } });
    const s = BigInt(`0x${full.slice(66, 130)}`) | (full.endsWith("1c") ? 1n << 255n : 0n);
    const compact: Hex = `0x${full.slice(2, 66)}${s.toString(16).padStart(64, "0")}`;
    expect(await personalSigner(hash, full)).toBe(lowerHex(account.address));
    expect(await personalSigner(hash, compact)).toBe(lowerHex(account.address));
  });

  test("v 0 and 1, high s and odd lengths are nobody's", async () => {
    const full = await account.signMessage({ message: { raw: hash } });
    const body = full.slice(2, 130);
    const high = (order - BigInt(`0x${full.slice(66, 130)}`)).toString(16).padStart(64, "0");
    expect(await personalSigner(hash, `0x${body}00`)).toBeUndefined();
    expect(await personalSigner(hash, `0x${body}01`)).toBeUndefined();
    expect(await personalSigner(hash, `0x${body.slice(0, 64)}${high}1b`)).toBeUndefined();
    const bad: Hex[] = ["0x", "0x00", `0x${body.slice(0, 98)}`, `0x${"0".repeat(128)}1b`, `0x${"f".repeat(128)}1b`, `0x${"zz".repeat(65)}`];
    for (const signature of bad) {
      expect(await rawSigner(hash, signature)).toBeUndefined();
    }
  });
});

test("the TEE broker signs only where there is one and an enclave", () => {
  const owner = "0x1111111111111111111111111111111111111111";
  const broker = "0x2222222222222222222222222222222222222222";
  const deal = { workerpool: { pointer: ZERO_ADDRESS, owner, price: nanoRlc(0n) } } as const;
  expect(expectedAuthorizationSigner(deal, broker, ZERO_ADDRESS)).toBe(owner);
  expect(expectedAuthorizationSigner(deal, ZERO_ADDRESS, broker)).toBe(owner);
  expect(expectedAuthorizationSigner(deal, broker, owner)).toBe(broker);
});
