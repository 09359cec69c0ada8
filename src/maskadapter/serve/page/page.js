/* The page of `maskadapter serve`: what happens when. Each of the other files holds one part of it. */
import { ClassField } from "./class_field.js";
import { archive, save } from "./download.js";
import { byId, percent } from "./element.js";
import { Exemplars, chip } from "./exemplars.js";
import { showModel } from "./model_facts.js";
import { PhotoSource } from "./photo_source.js";
import { Result } from "./result.js";
import { SegmentDetail } from "./segment_detail.js";
import { SegmentList } from "./segment_list.js";
import { Server } from "./server.js";
import { Stage } from "./stage.js";

const LEAST_SCORE = 0.3; // of an instance: of one object there are several, each less probable than the one before
const MODES = {
  panoptic: "Every pixel once, things one by one.",
  semantic: "One class for every pixel.",
  instances: `Things alone, from ${percent(LEAST_SCORE)} on; they may overlap.`,
};

const server = new Server();
let model = "";
let photo = null; // { file, id }: id is the server's, once it has the photo
let ownMasks = null; // File
let result = null;
let hidden = new Set(); // names of classes that are switched off
let running = null; // AbortController of the request that is on its way

const stage = new Stage({ select, hover });
const list = new SegmentList({ select, hover, toggle });
const detail = new SegmentDetail(server, { close: () => select(0), teach, spread, fail: refuse });
const classes = new ClassField(server, run);
const exemplars = new Exemplars(run);
const source = new PhotoSource(server, { open, fail: refuse });

function hover(id) {
  if (id === stage.hovered) return;
  stage.hovered = id;
  stage.redraw();
  list.mark(stage.selected, id);
}

/** id: of the segment whose details are wanted, 0 for none; the one that is selected is closed. */
function select(id) {
  const before = stage.selected;
  stage.selected = id === before ? 0 : id;
  stage.redraw();
  const segment = result?.byId.get(stage.selected);
  if (segment) {
    detail.show(segment, stage.photo, mapPath(segment), questionAbout(segment));
    const best = segment.classes.map((one) => `${one.name} ${percent(one.probability)}`).join(", ");
    byId("announcement").textContent = `Selected: ${segment.name}. Best classes: ${best}`;
  } else {
    const had = byId("detail").contains(document.activeElement);
    detail.hide();
    if (had) list.focus(before);
  }
  list.mark(stage.selected, stage.hovered);
  list.reveal(stage.selected);
}

/** Where the activation map of a segment is; the server keeps none of masks that are given. */
function mapPath(segment) {
  return result.mode !== "masks" ? `v1/images/${encodeURIComponent(result.image_id)}/segments/${segment.proposal}/maps` : null;
}

/** What /v1/classify is asked about the mask of one segment. */
function questionAbout(segment) {
  const mask = result.maskOf(segment);
  return mask && { image_id: result.image_id, classes: result.asked, masks: [mask], output: "summary" };
}

function toggle(label, shown) {
  const { name } = result.classes.find((one) => one.label === label) ?? { name: null };
  if (shown) hidden.delete(name);
  else hidden.add(name);
  showHidden();
}

function showHidden() {
  const none = hidden.has(null) ? [-1] : [];
  stage.hidden = new Set([...none, ...result.classes.filter((one) => hidden.has(one.name)).map((one) => one.label)]);
  stage.redraw();
}

/** Take another photo: a File. */
async function open(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    refuse(new Error(`${file.name} cannot be read: a photo, as JPEG or PNG, is needed.`));
    return;
  }
  photo = { file, id: null };
  setOwnMasks(null);
  clear();
  stage.show(bitmap);
  byId("overlay").setAttribute("aria-label", `Photo ${file.name}`);
  byId("empty").hidden = true;
  byId("work").hidden = false;
  byId("choose-masks").disabled = false;
  classes.suggest(file.name);
  await run();
}

function clear() {
  result = null;
  stage.setResult(null);
  list.clear();
  detail.hide();
  byId("download").disabled = true;
}

/** Ask the server about the photo, with the classes and the mode of the form. */
async function run() {
  if (!photo) return;
  running?.abort();
  const request = new AbortController();
  running = request;
  working(photo.id ? "Looking for your classes …" : "Reading the photo …");
  try {
    const found = await Result.of(await ask(request.signal));
    if (running !== request) return;
    accept(found);
  } catch (error) {
    if (running === request) refuse(error);
  }
}

/** The server keeps photos for a while only: one that it has forgotten is sent once more. */
async function ask(signal) {
  const photos = new Set([photo, ...exemplars.photos]);
  for (let attempt = 0; ; attempt++) {
    for (const one of photos) one.id ??= await upload(one.file, signal);
    try {
      return await (ownMasks ? classify(signal) : segment(signal));
    } catch (error) {
      if (error.status !== 404 || attempt) throw error;
      for (const one of photos) one.id = null;
    }
  }
}

async function upload(file, signal) {
  const form = new FormData();
  form.append("image", file, file.name);
  return (await server.post("v1/images", form, signal)).id;
}

async function segment(signal) {
  const { mode } = Object.fromEntries(new FormData(byId("ask")));
  const request = { image_id: photo.id, classes: classes.text, mode, output: "png" };
  if (mode === "instances") {
    request.output = "coco_rle"; // they overlap, which a map cannot hold
    request.score = LEAST_SCORE;
  }
  if (exemplars.request.length) request.examples = exemplars.request;
  return { ...(await server.post("v1/segment", request, signal)), asked: request.classes };
}

async function classify(signal) {
  const form = new FormData();
  form.append("image_id", photo.id);
  form.append("classes", classes.text);
  form.append("masks", ownMasks, ownMasks.name);
  form.append("output", "png");
  return { ...(await server.post("v1/classify", form, signal)), asked: form.get("classes") };
}

function accept(found) {
  running = null;
  result = found;
  working(null);
  stage.setResult(result);
  detail.hide();
  showHidden();
  list.show(result, stage.hidden);
  const count = result.segments.length;
  const time = result.seconds === undefined ? "" : ` · ${result.seconds.toFixed(2)} s`;
  byId("status").textContent = count ? `${count} segment${count > 1 ? "s" : ""}${time}` : `None of the classes was found${time}`;
  byId("overlay").setAttribute("aria-label", `Photo ${photo.file.name} with ${count} segments, which are listed beside it`);
  byId("download").disabled = !count;
}

/** text: what is being done, null when it is done. */
function working(text) {
  byId("busy").hidden = text === null;
  byId("frame").setAttribute("aria-busy", String(text !== null));
  if (text === null) return;
  byId("alert").hidden = true;
  byId("status").textContent = text;
}

/** Show what went wrong: in one line, or as the question for a token. */
function refuse(error) {
  working(null);
  if (byId("status").textContent.endsWith("…")) byId("status").textContent = "";
  if (error.status === 401) {
    byId("token").hidden = false;
    byId("token-field").focus();
    if (!byId("token-field").value) return;
  }
  byId("alert").textContent = error.message;
  byId("alert").hidden = false;
}

function setOwnMasks(file) {
  ownMasks = file;
  byId("modes").disabled = Boolean(file);
  const remove = () => {
    setOwnMasks(null);
    run();
  };
  byId("masks-chip").replaceChildren(...(file ? [chip(file.name, "Use the model's own masks again", remove)] : []));
  byId("choose-masks").hidden = Boolean(file);
  showModeHint();
}

function showModeHint() {
  const { mode } = Object.fromEntries(new FormData(byId("ask")));
  byId("mode-hint").textContent = ownMasks ? "The masks are yours; each gets its best class." : MODES[mode];
}

/** canvas: an activation map in place of the segments, null for the segments. */
function spread(canvas) {
  stage.cover = canvas;
  stage.redraw();
}

function teach(name) {
  const segment = result.byId.get(stage.selected);
  exemplars.add(name, photo, result.maskOf(segment));
  run();
}

async function download() {
  const segments = result.segments.filter((segment) => !stage.hidden.has(segment.label));
  const stem = photo.file.name.replace(/\.[^.]*$/, "") || "photo";
  save(await archive(result, segments, stage.drawn(), photo.file.name, model), `${stem}-masks.zip`);
}

/** What the server has to say before anybody asks. */
async function begin() {
  try {
    const facts = await showModel(server);
    model = facts.name;
    detail.comparison.setModel(facts);
    await Promise.all([classes.readLists(), source.showExamples()]);
    byId("teach").hidden = !hasField(await server.json("openapi.json"), "examples");
  } catch (error) {
    refuse(error);
  }
}

/** Whether an object in the server's description has a field of that name. */
function hasField(description, name) {
  if (description === null || typeof description !== "object") return false;
  if (description.properties?.[name]) return true;
  return Object.values(description).some((part) => hasField(part, name));
}

byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!photo) byId("choose").focus();
  run();
});
byId("modes").addEventListener("change", () => {
  showModeHint();
  run();
});
byId("opacity").addEventListener("input", ({ target }) => {
  stage.opacity = target.value / 100;
  stage.redraw();
});
byId("names").addEventListener("change", ({ target }) => {
  stage.names = target.checked;
  stage.redraw();
});
byId("download").addEventListener("click", () => download().catch(refuse));
byId("choose-masks").addEventListener("click", () => byId("masks-file").click());
byId("masks-file").addEventListener("change", ({ target }) => {
  if (target.files.length) setOwnMasks(target.files[0]);
  target.value = "";
  run();
});
byId("token").addEventListener("submit", async (event) => {
  event.preventDefault();
  server.token = byId("token-field").value;
  byId("token").hidden = true;
  byId("alert").hidden = true;
  await begin();
  run();
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && stage.selected) select(0);
});
showModeHint();
begin();
