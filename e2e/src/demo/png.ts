import { inflateSync } from "node:zlib";

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

export interface Picture {
  readonly width: number;
  readonly height: number;
  /** Different byte values among the pixels' data: 1 is a blank picture. */
  readonly shades: number;
}

/** Looks at a PNG without the code that wrote it. Errors: when it is none. @source PNG specification, 5.2 to 5.6 and 11.2.2 */
export function lookAtPng(bytes: Buffer): Picture {
  if (!bytes.subarray(0, 8).equals(SIGNATURE)) throw new Error("not a PNG: wrong signature");
  let header: Buffer | undefined;
  let ended = false;
  const data: Buffer[] = [];
  for (let at = 8; at + 12 <= bytes.length && !ended; ) {
    const length = bytes.readUInt32BE(at);
    const type = bytes.toString("latin1", at + 4, at + 8);
    const content = bytes.subarray(at + 8, at + 8 + length);
    if (type === "IHDR") header = content;
    if (type === "IDAT") data.push(content);
    if (type === "IEND") ended = true;
    at += 12 + length;
  }
  if (header === undefined || !ended) throw new Error("not a PNG: no header or no end");
  const [width, height, depth, color] = [header.readUInt32BE(0), header.readUInt32BE(4), header[8], header[9]];
  if (depth !== 8 || (color !== 2 && color !== 6)) throw new Error(`a PNG of depth ${depth} and colour type ${color}`);
  const rows = inflateSync(Buffer.concat(data));
  const rowBytes = 1 + width * (color === 2 ? 3 : 4);
  if (rows.length !== rowBytes * height) throw new Error(`the PNG holds ${rows.length} bytes for ${width}x${height}`);
  const seen = new Set<number>();
  for (let at = 0; at < rows.length; at++) if (at % rowBytes !== 0) seen.add(rows[at] ?? 0);
  return { width, height, shades: seen.size };
}
