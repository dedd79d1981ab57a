/** A value seen when this many tasks were over. */
export interface Point {
  readonly tasks: number;
  readonly value: number;
}

/** Below these a slope says nothing. */
const MIN_POINTS = 8;
const MIN_TASKS = 20;

/** Least-squares slope, as growth of the value per hundred tasks; undefined when there is too little to tell. */
export function growthPer100(points: readonly Point[]): number | undefined {
  const tasks = points.map((point) => point.tasks);
  if (points.length < MIN_POINTS || Math.max(...tasks) - Math.min(...tasks) < MIN_TASKS) return undefined;
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(tasks), mean(points.map(({ value }) => value))];
  const above = points.reduce((sum, point) => sum + (point.tasks - x) * (point.value - y), 0);
  const below = points.reduce((sum, point) => sum + (point.tasks - x) ** 2, 0);
  return (above / below) * 100;
}
