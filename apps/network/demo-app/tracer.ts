import type { RenderOptions } from "./options.ts";
import { Random } from "./random.ts";
import type { Scene, Triple } from "./scene.ts";
import { add, cross, dot, normalize, reflect, refract, scale, subtract, type Vector } from "./vector.ts";
import { type Hit, World } from "./world.ts";

const MAX_BOUNCES = 8;
const GLASS_INDEX = 1.5;
/** How far a shadow's edge is blurred. */
const SUN_SIZE = 0.03;

/**
 * Follows light paths backwards from the eye. Only + - * / and sqrt are used on numbers, which IEEE 754 rounds in one way only.
 *
 * @param progress - called after each row with the part done, up to 1
 * @returns three bytes a pixel, rows from top to bottom
 */
export function render(scene: Scene, options: RenderOptions, progress: (done: number) => void): Uint8Array {
  const { width, height, samples, seed } = options;
  const world = new World(scene);
  const eye = scene.camera.from;
  const forward = normalize(subtract(scene.camera.to, eye));
  const right = normalize(cross(forward, [0, 1, 0]));
  const up = cross(right, forward);
  const half = scene.camera.halfWidth;
  const step = (2 * half) / width;
  const pixels = new Uint8Array(width * height * 3);

  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const random = new Random(seed, y * width + x);
      let sum: Vector = [0, 0, 0];
      for (let n = 0; n < samples; n++) {
        const u = (x + random.next()) * step - half;
        const v = (height / 2 - y - random.next()) * step;
        const direction = normalize(add(forward, add(scale(right, u), scale(up, v))));
        sum = add(sum, trace(scene, world, random, eye, direction));
      }
      const at = (y * width + x) * 3;
      for (let channel = 0; channel < 3; channel++) pixels[at + channel] = toByte((sum[channel] ?? 0) / samples);
    }
    progress((y + 1) / height);
  }
  return pixels;
}

function trace(scene: Scene, world: World, random: Random, eye: Vector, look: Vector): Vector {
  let origin = eye;
  let direction = look;
  let weight: Vector = [1, 1, 1];
  let light: Vector = [0, 0, 0];
  let seesSun = true;

  for (let bounce = 0; bounce < MAX_BOUNCES; bounce++) {
    const hit = world.hit(origin, direction);
    if (hit === undefined) return add(light, times(weight, skyLight(scene, world.sun, direction, seesSun)));
    if (hit.fog > 0) {
      light = add(light, scale(times(weight, scene.sky.horizon), hit.fog));
      weight = scale(weight, 1 - hit.fog);
    }
    if (hit.material === "light") return add(light, times(weight, hit.color));

    const { point, normal } = hit;
    weight = times(weight, hit.color);
    origin = point;
    switch (hit.material) {
      case "diffuse": {
        const toSun = normalize(add(world.sun, scale(unitSphere(random), SUN_SIZE)));
        const facing = dot(normal, toSun);
        if (facing > 0) light = add(light, scale(times(weight, scene.sun.color), facing * world.sunlight(point, toSun)));
        direction = normalize(add(normal, scale(unitSphere(random), 0.999)));
        seesSun = false;
        break;
      }
      case "metal": {
        const mirrored = reflect(direction, normal);
        direction = hit.roughness === 0 ? mirrored : normalize(add(mirrored, scale(unitSphere(random), hit.roughness)));
        if (dot(direction, normal) <= 0) return light;
        seesSun = true;
        break;
      }
      default:
        direction = throughGlass(direction, hit, random);
        seesSun = true;
    }
  }
  return light;
}

function throughGlass(direction: Vector, hit: Hit, random: Random): Vector {
  const ratio = hit.outside ? 1 / GLASS_INDEX : GLASS_INDEX;
  const cosine = -dot(direction, hit.normal);
  const bent = refract(direction, hit.normal, ratio);
  return bent === undefined || schlick(cosine) > random.next() ? reflect(direction, hit.normal) : bent;
}

/** Part of the light that a glass surface mirrors. */
function schlick(cosine: number): number {
  const base = 0.04;
  const rest = 1 - cosine;
  const square = rest * rest;
  return base + (1 - base) * square * square * rest;
}

function skyLight(scene: Scene, sun: Vector, direction: Vector, seesSun: boolean): Vector {
  const height = Math.max(direction[1], 0);
  const blend = height * (2 - height);
  const sky = add(scale(scene.sky.horizon, 1 - blend), scale(scene.sky.zenith, blend));
  if (!seesSun) return sky;
  const facing = dot(direction, sun);
  if (facing <= 0.98) return sky;
  const glow = (facing - 0.98) * 50;
  const square = glow * glow;
  return add(sky, scale(scene.sun.color, square * square * 2));
}

const times = (a: Vector, b: Triple): Vector => [a[0] * b[0], a[1] * b[1], a[2] * b[2]];

/** A random point on the unit sphere, by rejection: no trigonometry, whose last bits differ between machines. */
function unitSphere(random: Random): Vector {
  for (;;) {
    const x = random.next() * 2 - 1;
    const y = random.next() * 2 - 1;
    const z = random.next() * 2 - 1;
    const square = x * x + y * y + z * z;
    if (square > 1e-6 && square <= 1) {
      const length = Math.sqrt(square);
      return [x / length, y / length, z / length];
    }
  }
}

/** Soft limit, then gamma 2: both by exact operations. */
function toByte(value: number): number {
  const limited = (value * (1 + value / 9)) / (1 + value);
  const level = Math.sqrt(Math.min(limited, 1)) * 255 + 0.5;
  return Math.floor(level);
}
