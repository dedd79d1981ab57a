import { Mistake } from "./mistake.ts";

export interface RenderOptions {
  readonly width: number;
  readonly height: number;
  /** Light paths per pixel. */
  readonly samples: number;
  /** 32 bits; another seed gives other noise. */
  readonly seed: number;
}

export const USAGE = "usage: --width 1..2048 --height 1..2048 --samples 1..4096 --seed 0..4294967295";

const DEFAULTS: RenderOptions = { width: 320, height: 200, samples: 24, seed: 1 };
const LIMITS: Readonly<Record<keyof RenderOptions, readonly [min: number, max: number]>> = {
  width: [1, 2048],
  height: [1, 2048],
  samples: [1, 4096],
  seed: [0, 0xffffffff],
};

const isName = (name: string): name is keyof RenderOptions => Object.hasOwn(LIMITS, name);

/** `--name value` or `--name=value`; unknown names and bad numbers are mistakes. */
export function parseOptions(args: readonly string[]): RenderOptions {
  const values: Partial<Record<keyof RenderOptions, number>> = {};
  const words = args.flatMap((word) =>
    /^--\w+=/.test(word) ? [word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)] : [word],
  );
  for (let index = 0; index < words.length; index += 2) {
    const name = (words[index] ?? "").replace(/^--/, "");
    const text = words[index + 1];
    if (!(words[index] ?? "").startsWith("--") || !isName(name)) throw new Mistake("arguments", `unknown argument ${words[index]}`);
    if (text === undefined || !/^\d{1,10}$/.test(text)) throw new Mistake("arguments", `--${name} wants a whole number`);
    const [min, max] = LIMITS[name];
    const value = Number(text);
    if (value < min || value > max) throw new Mistake("arguments", `--${name} must be between ${min} and ${max}`);
    values[name] = value;
  }
  return { ...DEFAULTS, ...values };
}
