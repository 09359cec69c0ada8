import { masksOf, paintMask } from "./run_lengths.js";

/** A reply of the server as the page uses it. */
export class Result {
  /** reply: of /v1/segment or /v1/classify, and `asked`, the classes as they were typed. ids: (height * width), the id of the segment of every pixel, 0 = none. */
  constructor(reply, ids) {
    Object.assign(this, reply);
    this.ids = ids;
    this.byId = new Map(reply.segments.map((segment) => [segment.id, segment]));
  }

  /** Decode what came: an id map, or masks that may overlap, of which the smaller, then the more probable, lie on top. */
  static async of(reply) {
    if (reply.id_map) return new Result(reply, await idsOf(reply.id_map, reply.width, reply.height));
    const ids = new Uint32Array(reply.width * reply.height);
    const inOrder = [...reply.segments].sort((one, other) => other.area - one.area || one.score - other.score);
    for (const segment of inOrder) {
      if (segment.mask) paintMask(ids, segment.mask, segment.id);
    }
    return new Result(reply, ids);
  }

  colorOf(segment) {
    return this.classes.find((one) => one.label === segment.label)?.color ?? "#888888";
  }

  /** Classes that have segments, each with them, best first; those without a class come last. */
  groups() {
    const groups = this.classes.map((one) => ({ ...one, segments: [] }));
    const place = new Map(groups.map((group) => [group.label, group]));
    const none = { label: -1, name: "none of them", color: "#888888", segments: [] };
    for (const segment of this.segments) (place.get(segment.label) ?? none).segments.push(segment);
    const found = [...groups, none].filter((group) => group.segments.length);
    for (const group of found) group.segments.sort((one, other) => other.score - one.score);
    return found;
  }

  /** The mask of one segment as COCO's run lengths. */
  maskOf(segment) {
    this.masks ??= masksOf(this.ids, this.width, this.height);
    return segment.mask ?? this.masks.get(segment.id) ?? null;
  }
}

/** Read the id map: a PNG in base64 whose colors are numbers, so nothing may adapt them to a screen. */
async function idsOf(base64, width, height) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
  const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }), options);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, width, height).data;
  const ids = new Uint32Array(width * height);
  for (let pixel = 0, byte = 0; pixel < ids.length; pixel++, byte += 4) {
    ids[pixel] = pixels[byte] + 256 * pixels[byte + 1] + 65536 * pixels[byte + 2];
  }
  return ids;
}
