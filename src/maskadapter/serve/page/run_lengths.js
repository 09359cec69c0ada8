/* COCO's compressed run lengths: how many pixels are outside, inside, outside, … column after column. From the fourth
   number on it is the difference to the one before the last; each is written in groups of five bits, lowest first, a
   sixth bit says that more follow, and 48 is added to make it a letter. Source: cocoapi, common/maskApi.c. */

const FIRST_LETTER = 48;

/** counts: COCO's string, or the plain list of numbers. Returns the list of numbers. */
export function readCounts(counts) {
  if (typeof counts !== "string") return counts;
  const lengths = [];
  let place = 0;
  while (place < counts.length) {
    let value = 0;
    let shift = 0;
    let group;
    do {
      group = counts.charCodeAt(place++) - FIRST_LETTER;
      value |= (group & 31) << shift;
      shift += 5;
    } while (group & 32);
    if (group & 16 && shift < 32) value |= -1 << shift; // negative
    if (lengths.length > 2) value += lengths[lengths.length - 2];
    lengths.push(value);
  }
  return lengths;
}

export function writeCounts(lengths) {
  let letters = "";
  lengths.forEach((length, index) => {
    let value = index > 2 ? length - lengths[index - 2] : length;
    let more = true;
    while (more) {
      const group = value & 31;
      value >>= 5;
      more = group & 16 ? value !== -1 : value !== 0;
      letters += String.fromCharCode(group + (more ? 32 : 0) + FIRST_LETTER);
    }
  });
  return letters;
}

/** Write `id` into `ids` (row after row, height x width) wherever the mask { size: [height, width], counts } is. */
export function paintMask(ids, mask, id) {
  const [height, width] = mask.size;
  let position = 0;
  readCounts(mask.counts).forEach((length, index) => {
    if (index % 2) {
      for (let pixel = position; pixel < position + length; pixel++) {
        ids[(pixel % height) * width + Math.floor(pixel / height)] = id;
      }
    }
    position += length;
  });
}

/** All masks of an id map at once: Map of id -> { size: [height, width], counts }. 0 is no mask. */
export function masksOf(ids, width, height) {
  const runs = new Map(); // id -> [first pixel, length, first pixel, length, …]
  let current = ids[0];
  let first = 0;
  const close = (end) => {
    if (current === 0) return;
    if (!runs.has(current)) runs.set(current, []);
    runs.get(current).push(first, end - first);
  };
  for (let x = 0, pixel = 0; x < width; x++) {
    for (let y = 0; y < height; y++, pixel++) {
      const id = ids[y * width + x];
      if (id === current) continue;
      close(pixel);
      current = id;
      first = pixel;
    }
  }
  close(width * height);
  const masks = new Map();
  for (const [id, pairs] of runs) {
    const lengths = [];
    let end = 0;
    for (let index = 0; index < pairs.length; index += 2) {
      lengths.push(pairs[index] - end, pairs[index + 1]);
      end = pairs[index] + pairs[index + 1];
    }
    if (end < width * height) lengths.push(width * height - end);
    masks.set(id, { size: [height, width], counts: writeCounts(lengths) });
  }
  return masks;
}
