import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { inflateSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { renderTask } from "../../demo-app/app.ts";
import { Mistake } from "../../demo-app/mistake.ts";
import { parseOptions } from "../../demo-app/options.ts";
import { encodePng } from "../../demo-app/png.ts";
import { parseScene } from "../../demo-app/scene.ts";
import { DEMO_SCENE } from "./demo-image.ts";

let folder: string;
let runs = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "iexec-render-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function run(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const out = join(folder, `out-${++runs}`);
  const lines: string[] = [];
  const errors: string[] = [];
  const scene = { IEXEC_IN: dirname(DEMO_SCENE), IEXEC_DATASET_FILENAME: "marbles.json" };
  const code = await renderTask(
    args,
    { ...scene, IEXEC_OUT: out, ...env },
    { out: (line) => lines.push(line), error: (line) => errors.push(line) },
  );
  return { code, lines, errors, file: (name: string) => readFile(join(out, name)) };
}
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const TINY = ["--width", "32", "--height=20", "--samples", "4", "--seed", "7"];

describe("the demo's renderer", () => {
  test("gives the same bytes everywhere, and others for another seed", async () => {
    const [first, second, other] = await Promise.all([run(TINY), run(TINY), run([...TINY.slice(0, -1), "8"])]);
    expect(first.code).toBe(0);
    const picture = await first.file("result.png");
    expect(sha256(picture)).toBe("73ffbe6ba94210b5dc9d8bbc7736f7fc1a30f77ca8798d85dd0afa91e72929bd");
    expect(await second.file("result.png")).toEqual(picture);
    expect(sha256(await other.file("result.png"))).not.toBe(sha256(picture));
  });

  test("names its deterministic output and tells its progress", async () => {
    const { lines, file } = await run(TINY);
    const computed: unknown = JSON.parse(String(await file("computed.json")));
    expect(computed).toEqual({ "deterministic-output-path": join(folder, `out-${runs}`, "result.png") });
    expect(lines.filter((line) => line.startsWith("rendered"))).toHaveLength(10);
  });

  test.each([["--width"], ["--width", "0"], ["--width", "1e3"], ["--heigth", "3"], ["3"], ["--seed", "4294967296"], ["--samples", "-1"]])(
    "refuses the arguments %s %s with exit code 2",
    async (...args) => {
      expect((await run(args)).code).toBe(2);
    },
  );

  test("refuses a missing, broken or wrong scene with exit code 3", async () => {
    await writeFile(join(folder, "broken.json"), "{");
    await writeFile(join(folder, "wrong.json"), "{}");
    const codes = await Promise.all([
      run(TINY, { IEXEC_DATASET_FILENAME: "" }),
      run(TINY, { IEXEC_DATASET_FILENAME: "no-such-file" }),
      run(TINY, { IEXEC_IN: folder, IEXEC_DATASET_FILENAME: "broken.json" }),
      run(TINY, { IEXEC_IN: folder, IEXEC_DATASET_FILENAME: "wrong.json" }),
    ]);
    expect(codes.map(({ code }) => code)).toEqual([3, 3, 3, 3]);
  });

  test("the scene's faults are named by their place", async () => {
    const scene: unknown = JSON.parse(await readFile(DEMO_SCENE, "utf8"));
    expect(parseScene(scene).spheres.length).toBeGreaterThan(5);
    const broken: unknown = JSON.parse((await readFile(DEMO_SCENE, "utf8")).replace('"radius": 1', '"radius": -1'));
    expect(() => parseScene(broken)).toThrow(/spheres\[0\]\.radius/);
    expect(() => parseScene(broken)).toThrow(Mistake);
  });

  test("defaults are the demo's size", () => {
    expect(parseOptions([])).toEqual({ width: 320, height: 200, samples: 24, seed: 1 });
  });

  test("its PNG is a PNG: header, whole data, right pixels", () => {
    const pixels = Uint8Array.from({ length: 200 * 150 * 3 }, (_, index) => index % 251);
    const png = encodePng(200, 150, pixels);
    expect(png.subarray(1, 4).toString()).toBe("PNG");
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([200, 150]);
    const rows = inflateSync(png.subarray(41, 41 + png.readUInt32BE(33)));
    expect(rows.length).toBe(150 * 601);
    expect(rows.subarray(602, 602 + 600)).toEqual(Buffer.from(pixels.subarray(600, 1200)));
  });
});
