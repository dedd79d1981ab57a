import { spawnSync } from "node:child_process";
import { createHash, createPublicKey, verify } from "node:crypto";
import { describe, expect, test } from "vitest";
import { render } from "./join.ts";
import { joinKey } from "./signing.ts";

const key = joinKey(new Uint8Array(32).fill(7));
const about = {
  options: { poolName: "lab", workerImage: "iexec-ts/iexec-worker:1.2.3", deposit: 1_500_000_000n, gas: 10n },
  workerpool: "0x00000000000000000000000000000000000000aa",
  chainId: 134,
  key,
} as const;
const shell = (script: Buffer, args: readonly string[]) => spawnSync("sh", ["-s", "--", ...args], { input: script, encoding: "utf8" });

describe("the script that joins a workerpool", () => {
  test("is whole, and says what it is for", () => {
    const { script } = render("https://pool.example/", about);
    expect(script.toString()).not.toContain("@@");
    const help = shell(script, ["--help"]);
    expect(help.status).toBe(0);
    expect(help.stdout).toContain("lab (0x00000000000000000000000000000000000000aa)");
    expect(shell(script, ["--nonsense"]).status).toBe(2);
    expect(shell(script, ["--name", "a b"]).status).toBe(2);
    expect(shell(script, ["--set", "nonsense"]).status).toBe(2);
  });

  test("takes no word of an address for a command", () => {
    const { script } = render("https://pool.example/'$(touch /tmp/never)'", about);
    expect(script.toString()).toContain("CORE_URL='https://pool.example/'\\''$(touch /tmp/never)'\\'''\n");
    expect(shell(script, ["--help"]).status).toBe(0);
  });

  test("is signed with a key that anybody can check", () => {
    const { script, sha256, signature, page } = render("https://pool.example", about);
    expect(signature).toHaveLength(64);
    expect(verify(null, script, createPublicKey(key.publicPem), signature)).toBe(true);
    expect(sha256).toBe(createHash("sha256").update(script).digest("hex"));
    expect(page).toContain(sha256);
    expect(page).toContain(key.fingerprint);
    expect(page).toContain("1.5 RLC");
    expect(page).not.toContain("@@");
  });

  test("shows no markup of others on its page", () => {
    expect(render("https://pool.example/<script>", about).page).not.toContain("<script>");
  });

  test("has one key for one seed", () => {
    expect(joinKey(new Uint8Array(32).fill(7)).fingerprint).toBe(key.fingerprint);
    expect(joinKey(new Uint8Array(32).fill(8)).fingerprint).not.toBe(key.fingerprint);
  });
});
