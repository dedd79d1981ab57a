import type { Material, Scene, Sphere, Triple } from "./scene.ts";
import { add, dot, normalize, scale, subtract, type Vector } from "./vector.ts";

export interface Hit {
  readonly point: Vector;
  /** Points to where the ray came from. */
  readonly normal: Vector;
  readonly outside: boolean;
  readonly material: Material;
  readonly color: Triple;
  readonly roughness: number;
  /** Part of the color that the distance takes away. */
  readonly fog: number;
}

const NEAR = 1e-4;
const GLASS_SHADOW = 0.75;

/** What a ray can meet. */
export class World {
  /** Unit vector to the sun. */
  readonly sun: Vector;
  readonly #scene: Scene;

  constructor(scene: Scene) {
    this.#scene = scene;
    this.sun = normalize(scene.sun.direction);
  }

  /** The nearest thing along a ray, or undefined: the sky. */
  hit(origin: Vector, direction: Vector): Hit | undefined {
    let nearest = Number.POSITIVE_INFINITY;
    let found: Sphere | undefined;
    for (const sphere of this.#scene.spheres) {
      const distance = meet(sphere, origin, direction);
      if (distance < nearest) {
        nearest = distance;
        found = sphere;
      }
    }
    const toFloor = direction[1] < 0 ? -origin[1] / direction[1] : 0;
    if (toFloor > NEAR && toFloor < nearest) return this.#floorHit(add(origin, scale(direction, toFloor)), toFloor);
    return found === undefined ? undefined : sphereHit(found, add(origin, scale(direction, nearest)), direction);
  }

  /** How much of the sun reaches a point: 0 in shadow, less than 1 behind glass. */
  sunlight(point: Vector, toSun: Vector): number {
    let light = 1;
    for (const sphere of this.#scene.spheres) {
      if (meet(sphere, point, toSun) === Number.POSITIVE_INFINITY) continue;
      if (sphere.material !== "glass") return 0;
      light *= GLASS_SHADOW;
    }
    return light;
  }

  #floorHit(point: Vector, distance: number): Hit {
    const { tile, colors, fog } = this.#scene.floor;
    const odd = (Math.floor(point[0] / tile) + Math.floor(point[2] / tile)) & 1;
    const far = distance / fog;
    return {
      point,
      normal: [0, 1, 0],
      outside: true,
      material: "diffuse",
      color: colors[odd === 0 ? 0 : 1],
      roughness: 0,
      fog: 1 - 1 / (1 + far * far),
    };
  }
}

/** Distance along the ray to a sphere, or Infinity. */
function meet(sphere: Sphere, origin: Vector, direction: Vector): number {
  const x = origin[0] - sphere.center[0];
  const y = origin[1] - sphere.center[1];
  const z = origin[2] - sphere.center[2];
  const b = x * direction[0] + y * direction[1] + z * direction[2];
  const square = b * b - (x * x + y * y + z * z - sphere.radius * sphere.radius);
  if (square <= 0) return Number.POSITIVE_INFINITY;
  const root = Math.sqrt(square);
  if (-b - root > NEAR) return -b - root;
  return -b + root > NEAR ? -b + root : Number.POSITIVE_INFINITY;
}

function sphereHit(sphere: Sphere, point: Vector, direction: Vector): Hit {
  const outward = scale(subtract(point, sphere.center), 1 / sphere.radius);
  const outside = dot(outward, direction) < 0;
  return {
    point,
    normal: outside ? outward : scale(outward, -1),
    outside,
    material: sphere.material,
    color: sphere.color,
    roughness: sphere.roughness,
    fog: 0,
  };
}
