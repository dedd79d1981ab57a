import { CodedError } from "@iexec-ts/service";

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;
const STEP = 1_024;

/** A size for a person: `1.4 GiB`. */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= STEP && unit < UNITS.length - 1) {
    value /= STEP;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}

const FACTORS: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
};

/** Reads `20GB`, `500 MiB` or plain bytes. Errors: WRK-2012. */
export function parseBytes(text: string, what: string): number {
  const found = /^(\d{1,9}(?:\.\d{1,3})?)\s*([A-Za-z]*)$/.exec(text.trim());
  const factor = FACTORS[(found?.[2] || "B").toUpperCase()];
  if (found === null || factor === undefined) throw new CodedError("WRK-2012", { what, expected: "a size such as 20GB", got: text });
  return Math.floor(Number(found[1]) * factor);
}
