const STEPS = [
  ["d", 86_400],
  ["h", 3_600],
  ["m", 60],
  ["s", 1],
] as const;

/** A length of time in its two largest units: `6d 4h`, `14m`, `3s`. */
export function span(ms: number): string {
  let rest = Math.max(Math.round(ms / 1_000), 0);
  const parts: string[] = [];
  for (const [unit, seconds] of STEPS) {
    const count = Math.floor(rest / seconds);
    rest -= count * seconds;
    if (count > 0) parts.push(`${count}${unit}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.length === 0 ? "0s" : parts.join(" ");
}

/** `in 14m` or `3m ago`. */
export function relative(at: Date, now: Date): string {
  const ms = at.getTime() - now.getTime();
  if (Math.abs(ms) < 1_000) return "now";
  return ms > 0 ? `in ${span(ms)}` : `${span(-ms)} ago`;
}

/** ISO without fractions of seconds. */
export const exact = (at: Date): string => at.toISOString().replace(/\.\d+Z$/, "Z");
