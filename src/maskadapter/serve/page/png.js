/* A PNG whose values are numbers, which a canvas cannot write: it knows colors only. */
import { checksum } from "./checksum.js";

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

/** values: width * height numbers from 0 to 65535. palette: [[red, green, blue], …] for 8 bits, at most 256; without
    it, 16 bits of gray. Returns the file's bytes. */
export async function labelPng(values, width, height, palette) {
  const bytesEach = palette ? 1 : 2;
  const lines = new Uint8Array(height * (1 + width * bytesEach)); // every line begins with its filter: 0
  for (let y = 0, pixel = 0; y < height; y++) {
    for (let x = 0, byte = y * (1 + width * bytesEach) + 1; x < width; x++, pixel++) {
      if (!palette) lines[byte++] = values[pixel] >> 8;
      lines[byte++] = values[pixel] & 255;
    }
  }
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 8 * bytesEach);
  header.setUint8(9, palette ? 3 : 0);
  const chunks = [chunk("IHDR", new Uint8Array(header.buffer))];
  if (palette) chunks.push(chunk("PLTE", Uint8Array.from(palette.flat())));
  chunks.push(chunk("IDAT", await deflated(lines)), chunk("IEND", new Uint8Array()));
  return new Uint8Array(await new Blob([Uint8Array.from(SIGNATURE), ...chunks]).arrayBuffer());
}

function chunk(name, content) {
  const bytes = new Uint8Array(12 + content.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  bytes.set([...name].map((letter) => letter.charCodeAt(0)), 4);
  bytes.set(content, 8);
  view.setUint32(8 + content.length, checksum(bytes.subarray(4, 8 + content.length)));
  return bytes;
}

async function deflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
