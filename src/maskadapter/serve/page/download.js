/* What the page shows, as files: an overlay, a label map and COCO's JSON in one zip. */
import { channels } from "./overlay.js";
import { labelPng } from "./png.js";
import { zipped } from "./zip.js";

/** result: of the server. segments: those that are shown. overlay: a canvas. fileName: the photo's. Returns a Blob. */
export async function archive(result, segments, overlay, fileName, model) {
  const blob = await overlay.convertToBlob({ type: "image/png" });
  return zipped([
    { name: "overlay.png", bytes: new Uint8Array(await blob.arrayBuffer()) },
    { name: "labels.png", bytes: await labelMap(result, segments) },
    { name: "coco.json", bytes: new TextEncoder().encode(JSON.stringify(coco(result, segments, fileName, model))) },
  ]);
}

/** The value of a pixel is the category id in coco.json: label + 1, 0 = none. */
function labelMap(result, segments) {
  const categoryOf = new Map(segments.map((segment) => [segment.id, segment.label + 1]));
  const values = Uint16Array.from(result.ids, (id) => categoryOf.get(id) ?? 0);
  const colors = result.classes.map((one) => channels(one.color));
  return labelPng(values, result.width, result.height, colors.length < 256 ? [[0, 0, 0], ...colors] : undefined);
}

/** COCO's instances, of stuff as well. Source: cocodataset.org, data format. */
function coco(result, segments, fileName, model) {
  const annotations = segments.map((segment) => {
    const [left, top, right, bottom] = segment.box;
    return {
      id: segment.id,
      image_id: 1,
      category_id: segment.label + 1,
      score: segment.score,
      segmentation: result.maskOf(segment),
      area: segment.area,
      bbox: [left, top, right - left, bottom - top],
      iscrowd: 0,
    };
  });
  return {
    info: { description: `predicted by maskadapter${model ? ` with ${model}` : ""}` },
    licenses: [],
    images: [{ id: 1, file_name: fileName, height: result.height, width: result.width }],
    annotations: annotations.filter((annotation) => annotation.category_id > 0 && annotation.segmentation),
    categories: result.classes.map((one) => ({
      id: one.label + 1,
      name: one.name,
      isthing: Number(one.is_thing),
      supercategory: one.is_thing ? "thing" : "stuff",
    })),
  };
}

/** Hand a file to the browser. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
