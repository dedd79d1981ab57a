import { Mistake } from "./mistake.ts";

export type Triple = readonly [number, number, number];
export type Material = "diffuse" | "metal" | "glass" | "light";

export interface Sphere {
  readonly center: Triple;
  readonly radius: number;
  readonly material: Material;
  readonly color: Triple;
  /** 0 is a perfect mirror; metal only. */
  readonly roughness: number;
}

export interface Scene {
  readonly camera: {
    readonly from: Triple;
    readonly to: Triple;
    /** Half the picture's width at distance 1; smaller is closer. */
    readonly halfWidth: number;
  };
  readonly sky: { readonly horizon: Triple; readonly zenith: Triple };
  /** Direction points to the sun. */
  readonly sun: { readonly direction: Triple; readonly color: Triple };
  /** A checkered floor at y = 0. */
  readonly floor: { readonly colors: readonly [Triple, Triple]; readonly tile: number; readonly fog: number };
  readonly spheres: readonly Sphere[];
}

const MAX_SPHERES = 256;
const MATERIALS: readonly string[] = ["diffuse", "metal", "glass", "light"];

/** Reads a scene from JSON; anything unexpected is a mistake that names its place. */
export function parseScene(json: unknown): Scene {
  const root = object(json, "scene");
  const camera = object(root.camera, "camera");
  const sky = object(root.sky, "sky");
  const sun = object(root.sun, "sun");
  const floor = object(root.floor, "floor");
  if (!Array.isArray(root.spheres) || root.spheres.length > MAX_SPHERES) throw wrong("spheres", `a list of at most ${MAX_SPHERES}`);
  if (!Array.isArray(floor.colors) || floor.colors.length !== 2) throw wrong("floor.colors", "two colors");
  return {
    camera: {
      from: triple(camera.from, "camera.from"),
      to: triple(camera.to, "camera.to"),
      halfWidth: number(camera.halfWidth, "camera.halfWidth", 0.01, 10),
    },
    sky: { horizon: color(sky.horizon, "sky.horizon"), zenith: color(sky.zenith, "sky.zenith") },
    sun: { direction: triple(sun.direction, "sun.direction"), color: color(sun.color, "sun.color") },
    floor: {
      colors: [color(floor.colors[0], "floor.colors[0]"), color(floor.colors[1], "floor.colors[1]")],
      tile: number(floor.tile, "floor.tile", 0.01, 1_000),
      fog: number(floor.fog, "floor.fog", 0.1, 1e6),
    },
    spheres: root.spheres.map((entry: unknown, index) => sphere(entry, `spheres[${index}]`)),
  };
}

function sphere(json: unknown, place: string): Sphere {
  const entry = object(json, place);
  if (!isMaterial(entry.material)) throw wrong(`${place}.material`, `one of ${MATERIALS.join(", ")}`);
  return {
    center: triple(entry.center, `${place}.center`),
    radius: number(entry.radius, `${place}.radius`, 0.001, 1_000),
    material: entry.material,
    color: color(entry.color, `${place}.color`),
    roughness: entry.roughness === undefined ? 0 : number(entry.roughness, `${place}.roughness`, 0, 1),
  };
}

const isMaterial = (value: unknown): value is Material => typeof value === "string" && MATERIALS.includes(value);
const wrong = (place: string, wanted: string) => new Mistake("scene", `${place} must be ${wanted}`);

function object(json: unknown, place: string): Readonly<Record<string, unknown>> {
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw wrong(place, "an object");
  return Object.fromEntries(Object.entries(json));
}

function number(json: unknown, place: string, min: number, max: number): number {
  if (typeof json !== "number" || !(json >= min && json <= max)) throw wrong(place, `a number from ${min} to ${max}`);
  return json;
}

function triple(json: unknown, place: string, min = -1e4, max = 1e4): Triple {
  if (!Array.isArray(json) || json.length !== 3) throw wrong(place, "three numbers");
  return [number(json[0], place, min, max), number(json[1], place, min, max), number(json[2], place, min, max)];
}

/** Linear light, not sRGB; lights may be brighter than 1. */
const color = (json: unknown, place: string): Triple => triple(json, place, 0, 1_000);
