/** A picture of a screen: 3 bytes for each pixel, row after row. */
export interface Screen {
  readonly width: number;
  readonly height: number;
  readonly rgb: Buffer;
}

export interface Area {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Errors: when it is no picture, or one of more than 8 bits. @source PPM format, P6 */
export function parsePpm(bytes: Buffer): Screen {
  const header = /^P6\s+(\d+)\s+(\d+)\s+255\s/.exec(bytes.toString("latin1", 0, 64));
  if (header === null) throw new Error("not a PPM picture");
  const [width, height] = [Number(header[1]), Number(header[2])];
  const rgb = bytes.subarray(header[0].length);
  if (rgb.length !== width * height * 3) throw new Error(`the picture holds ${rgb.length} bytes for ${width}x${height}`);
  return { width, height, rgb };
}

/** How much of an area has exactly this colour, 0 to 1. What is outside the screen has another one. */
export function shareOf(screen: Screen, colour: number, area: Area): number {
  let same = 0;
  for (let y = area.y; y < Math.min(area.y + area.height, screen.height); y++) {
    for (let x = area.x; x < Math.min(area.x + area.width, screen.width); x++) {
      if (screen.rgb.readUIntBE((y * screen.width + x) * 3, 3) === colour) same += 1;
    }
  }
  return same / (area.width * area.height);
}
