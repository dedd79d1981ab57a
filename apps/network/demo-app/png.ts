import { crc32 } from "node:zlib";

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const MAX_STORED_BLOCK = 65_535;
const ADLER_MODULUS = 65_521;

/**
 * 8-bit RGB pixels as a PNG whose bytes depend on the pixels only. The data is stored, not deflated: deflate implementations choose
 * different, equally valid encodings on different processors, and workers must agree on every byte.
 *
 * @param pixels - three bytes a pixel, rows from top to bottom
 */
export function encodePng(width: number, height: number, pixels: Uint8Array): Buffer {
  const stride = width * 3;
  const rows = Buffer.alloc((stride + 1) * height);
  for (let y = 0; y < height; y++) {
    // Byte 0 of a row says "no filter".
    rows.set(pixels.subarray(y * stride, (y + 1) * stride), y * (stride + 1) + 1);
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.writeUInt8(8, 8);
  header.writeUInt8(2, 9);
  return Buffer.concat([SIGNATURE, chunk("IHDR", header), chunk("IDAT", stored(rows)), chunk("IEND", Buffer.alloc(0))]);
}

function chunk(type: string, data: Buffer): Buffer {
  const typed = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const out = Buffer.alloc(data.length + 12);
  out.writeUInt32BE(data.length, 0);
  typed.copy(out, 4);
  out.writeUInt32BE(crc32(typed), data.length + 8);
  return out;
}

/** A zlib stream of stored blocks. @source RFC 1950, RFC 1951 3.2.4 */
function stored(data: Buffer): Buffer {
  const parts: Buffer[] = [Buffer.from([0x78, 0x01])];
  for (let start = 0; start < data.length; start += MAX_STORED_BLOCK) {
    const block = data.subarray(start, start + MAX_STORED_BLOCK);
    const head = Buffer.alloc(5);
    head.writeUInt8(start + block.length >= data.length ? 1 : 0, 0);
    head.writeUInt16LE(block.length, 1);
    head.writeUInt16LE(block.length ^ 0xffff, 3);
    parts.push(head, block);
  }
  let low = 1;
  let high = 0;
  for (const byte of data) {
    low = (low + byte) % ADLER_MODULUS;
    high = (high + low) % ADLER_MODULUS;
  }
  const check = Buffer.alloc(4);
  check.writeUInt32BE(high * 65_536 + low, 0);
  parts.push(check);
  return Buffer.concat(parts);
}
