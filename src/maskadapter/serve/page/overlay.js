/* Segments as pixels: id maps at another size, outlines, tints, and where names have room. */

/** The id map at another size, each pixel the nearest of the old ones. */
export function resized(ids, width, height, newWidth, newHeight) {
  if (width === newWidth && height === newHeight) return ids;
  const columns = Int32Array.from({ length: newWidth }, (_, x) => Math.floor(((x + 0.5) * width) / newWidth));
  const out = new Uint32Array(newWidth * newHeight);
  for (let y = 0, pixel = 0; y < newHeight; y++) {
    const row = Math.floor(((y + 0.5) * height) / newHeight) * width;
    for (let x = 0; x < newWidth; x++, pixel++) out[pixel] = ids[row + columns[x]];
  }
  return out;
}

/** 1 for each pixel of a segment that lies within `thickness` of another segment or of none. */
export function outlines(ids, width, height, thickness) {
  const edges = new Uint8Array(ids.length);
  for (let y = 0, pixel = 0; y < height; y++) {
    for (let x = 0; x < width; x++, pixel++) {
      const id = ids[pixel];
      edges[pixel] =
        id !== 0 &&
        ((x >= thickness && ids[pixel - thickness] !== id) ||
          (x < width - thickness && ids[pixel + thickness] !== id) ||
          (y >= thickness && ids[pixel - thickness * width] !== id) ||
          (y < height - thickness && ids[pixel + thickness * width] !== id))
          ? 1
          : 0;
    }
  }
  return edges;
}

/** Fill an ImageData: paints: Map of id -> { fill, edge }, each [red, green, blue, alpha] of 0 to 255. */
export function tint(image, ids, edges, paints) {
  const inside = new Map();
  for (const [id, { fill, edge }] of paints) inside.set(id, [packed(fill), packed(edge)]);
  const pixels = new Uint32Array(image.data.buffer);
  let last = 0;
  let pair;
  for (let pixel = 0; pixel < ids.length; pixel++) {
    if (ids[pixel] !== last) {
      last = ids[pixel];
      pair = inside.get(last);
    }
    pixels[pixel] = last && pair ? pair[edges[pixel]] : 0;
  }
}

const packed = ([red, green, blue, alpha]) => ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;

export const channels = (color) => [1, 3, 5].map((place) => parseInt(color.slice(place, place + 2), 16));

const GRID = 160; // places for names are searched on a map of at most so many pixels

/** The place of every segment that is farthest from its border: Map of id -> { x, y, room }, in shares of the width and
    of the height; room: its distance to the border in shares of the longer side. */
export function innermost(ids, width, height) {
  const scale = Math.min(1, GRID / Math.max(width, height));
  const columns = Math.max(1, Math.round(width * scale));
  const rows = Math.max(1, Math.round(height * scale));
  const coarse = resized(ids, width, height, columns, rows);
  const steps = new Uint16Array(coarse.length); // to the next pixel of another id or the image's border
  const nearer = (pixel, x, y, dx, dy) => {
    const [column, row] = [x + dx, y + dy];
    if (column < 0 || row < 0 || column >= columns || row >= rows) return 0;
    const other = row * columns + column;
    return coarse[other] === coarse[pixel] ? steps[other] : 0;
  };
  const pass = (x, y, sign) => {
    const pixel = y * columns + x;
    const around = [[-1, 0], [0, -1], [-1, -1], [1, -1]].map(([dx, dy]) => nearer(pixel, x, y, sign * dx, sign * dy));
    const distance = 1 + Math.min(...around);
    steps[pixel] = sign > 0 ? distance : Math.min(steps[pixel], distance);
  };
  for (let y = 0; y < rows; y++) for (let x = 0; x < columns; x++) pass(x, y, 1);
  const places = new Map();
  for (let y = rows - 1; y >= 0; y--) {
    for (let x = columns - 1; x >= 0; x--) {
      pass(x, y, -1);
      const pixel = y * columns + x;
      const id = coarse[pixel];
      if (id === 0 || (places.has(id) && places.get(id).steps >= steps[pixel])) continue;
      const room = steps[pixel] / Math.max(columns, rows);
      places.set(id, { x: (x + 0.5) / columns, y: (y + 0.5) / rows, room, steps: steps[pixel] });
    }
  }
  return places;
}
