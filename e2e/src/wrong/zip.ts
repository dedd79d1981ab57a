import { inflateRawSync } from "node:zlib";

const CENTRAL = 0x02014b50;
const END = 0x06054b50;

export interface ZipFile {
  readonly name: string;
  /** Unix mode of the file, as far as the archive says. */
  readonly mode: number;
  text(): string;
}

/** Files of an archive, read without the code that wrote it. Errors: when it is no archive. @source APPNOTE.TXT 4.3.7, 4.3.12, 4.3.16 */
export function filesInZip(archive: Buffer): readonly ZipFile[] {
  let end = archive.length - 22;
  while (end >= 0 && archive.readUInt32LE(end) !== END) end -= 1;
  if (end < 0) throw new Error("not a zip");
  const files: ZipFile[] = [];
  let at = archive.readUInt32LE(end + 16);
  while (at + 46 <= end && archive.readUInt32LE(at) === CENTRAL) {
    const entry = at;
    const nameLength = archive.readUInt16LE(entry + 28);
    files.push({
      name: archive.toString("utf8", entry + 46, entry + 46 + nameLength),
      mode: archive.readUInt32LE(entry + 38) >>> 16,
      text() {
        const header = archive.readUInt32LE(entry + 42);
        const start = header + 30 + archive.readUInt16LE(header + 26) + archive.readUInt16LE(header + 28);
        const content = archive.subarray(start, start + archive.readUInt32LE(entry + 20));
        return (archive.readUInt16LE(entry + 10) === 0 ? content : inflateRawSync(content)).toString();
      },
    });
    at += 46 + nameLength + archive.readUInt16LE(entry + 30) + archive.readUInt16LE(entry + 32);
  }
  return files;
}

/** Text of one file of an archive. Errors: when it is not there. */
export function fileInZip(archive: Buffer, name: string): string {
  const file = filesInZip(archive).find((known) => known.name === name);
  if (file === undefined) throw new Error(`the zip has no ${name}`);
  return file.text();
}
