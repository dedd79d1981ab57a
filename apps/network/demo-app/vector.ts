export type Vector = readonly [number, number, number];

export const add = (a: Vector, b: Vector): Vector => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
export const subtract = (a: Vector, b: Vector): Vector => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
export const scale = (a: Vector, factor: number): Vector => [a[0] * factor, a[1] * factor, a[2] * factor];
export const dot = (a: Vector, b: Vector): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const cross = (a: Vector, b: Vector): Vector => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];

export function normalize(a: Vector): Vector {
  const length = Math.sqrt(dot(a, a));
  return [a[0] / length, a[1] / length, a[2] / length];
}

export const reflect = (direction: Vector, normal: Vector): Vector => subtract(direction, scale(normal, 2 * dot(direction, normal)));

/** undefined: total reflection. */
export function refract(direction: Vector, normal: Vector, ratio: number): Vector | undefined {
  const cosine = -dot(direction, normal);
  const square = 1 - ratio * ratio * (1 - cosine * cosine);
  if (square < 0) return undefined;
  return add(scale(direction, ratio), scale(normal, ratio * cosine - Math.sqrt(square)));
}
