/* A zip file that stores its files as they are: images are compressed already. Source: PKWARE's APPNOTE, 4.3. */
import { checksum } from "./checksum.js";

const VERSION = 20;
const UTF8_NAMES = 0x0800;

/** files: [{ name, bytes: Uint8Array }]. now: the time that they carry. Returns a Blob. */
export function zipped(files, now = new Date()) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const { name, bytes } of files) {
    const letters = new TextEncoder().encode(name);
    // What the file's own header and its entry in the directory share.
    const facts = [
      [2, VERSION], [2, UTF8_NAMES], [2, 0], [2, dosTime(now)], [2, dosDate(now)],
      [4, checksum(bytes)], [4, bytes.length], [4, bytes.length], [2, letters.length], [2, 0],
    ];
    const header = fields([[4, 0x04034b50], ...facts]);
    parts.push(header, letters, bytes);
    directory.push(fields([[4, 0x02014b50], [2, VERSION], ...facts, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]]));
    directory.push(letters);
    offset += header.length + letters.length + bytes.length;
  }
  const length = directory.reduce((sum, part) => sum + part.length, 0);
  const count = files.length;
  const end = fields([[4, 0x06054b50], [2, 0], [2, 0], [2, count], [2, count], [4, length], [4, offset], [2, 0]]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

/** Little-endian numbers, each [bytes, value]. */
function fields(numbers) {
  const bytes = [];
  for (const [size, value] of numbers) for (let byte = 0; byte < size; byte++) bytes.push((value >>> (8 * byte)) & 255);
  return Uint8Array.from(bytes);
}

const dosTime = (now) => (now.getHours() << 11) | (now.getMinutes() << 5) | (now.getSeconds() >> 1);
const dosDate = (now) => ((now.getFullYear() - 1980) << 9) | ((now.getMonth() + 1) << 5) | now.getDate();
