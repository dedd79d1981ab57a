import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Mistake } from "./mistake.ts";
import { parseOptions, USAGE } from "./options.ts";
import { encodePng } from "./png.ts";
import { parseScene } from "./scene.ts";
import { render } from "./tracer.ts";

export interface Console {
  readonly out: (line: string) => void;
  readonly error: (line: string) => void;
}

const MAX_SCENE_BYTES = 1024 * 1024;

/**
 * One task of the network: renders the scene of the deal's dataset to /iexec_out/result.png. Equal inputs give equal bytes on any machine,
 * so that workers who never met agree on the result.
 *
 * SIDE EFFECTS: writes result.png and computed.json.
 * @returns exit code: 0 done, 2 wrong arguments, 3 wrong scene, 1 anything else
 */
export async function renderTask(args: readonly string[], env: NodeJS.ProcessEnv, console: Console): Promise<number> {
  try {
    const options = parseOptions(args);
    const scene = parseScene(await readScene(env));
    const { width, height, samples, seed } = options;
    console.out(`scene with ${scene.spheres.length} spheres, ${width} x ${height} pixels, ${samples} samples, seed ${seed}`);
    let told = 0;
    const pixels = render(scene, options, (done) => {
      const percent = Math.floor(done * 10) * 10;
      if (percent === told) return;
      told = percent;
      console.out(`rendered ${percent} %`);
    });
    const folder = env.IEXEC_OUT ?? "/iexec_out";
    await mkdir(folder, { recursive: true });
    const image = join(folder, "result.png");
    await writeFile(image, encodePng(width, height, pixels));
    await writeFile(join(folder, "computed.json"), JSON.stringify({ "deterministic-output-path": image }));
    console.out("done: result.png");
    return 0;
  } catch (error) {
    if (error instanceof Mistake) {
      console.error(error.message);
      if (error.kind === "arguments") console.error(USAGE);
      return error.kind === "arguments" ? 2 : 3;
    }
    console.error(error instanceof Error ? error.message : String(error));
    return 1;
  }
}

async function readScene(env: NodeJS.ProcessEnv): Promise<unknown> {
  const name = env.IEXEC_DATASET_FILENAME;
  if (name === undefined || name === "") throw new Mistake("scene", "this app needs a dataset: IEXEC_DATASET_FILENAME is not set");
  const file = join(env.IEXEC_IN ?? "/iexec_in", name);
  let text: string;
  try {
    if ((await stat(file)).size > MAX_SCENE_BYTES) throw new Mistake("scene", `the scene ${name} is larger than 1 MiB`);
    text = await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof Mistake) throw error;
    throw new Mistake("scene", `the scene ${name} cannot be read`);
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new Mistake("scene", `the scene ${name} is not JSON`);
  }
}
