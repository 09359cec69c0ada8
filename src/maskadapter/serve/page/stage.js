import { byId, percent } from "./element.js";
import { channels, innermost, outlines, resized, tint } from "./overlay.js";

// Pixels of the longer side that are drawn on the screen; what is downloaded has the photo's own size.
const SHORTEST = 1200;
const LONGEST = 1600;
const TEXT = 13; // pixels of the screen
const WHITE = [255, 255, 255, 255];

/** The photo and its segments: drawing, hovering and clicking, all of it without asking the server. */
export class Stage {
  opacity = 0.5;
  names = true;
  hidden = new Set(); // labels of classes that are switched off
  hovered = 0; // ids of segments
  selected = 0;
  cover = null; // a canvas that is shown in place of the segments
  #photo = null;
  #result = null;
  #view = null; // what is drawn on the screen: { width, height, ids, edges, places }
  #waiting = false;

  /** select: called with the id that was clicked, 0 for none. hover: called with the id below the pointer. */
  constructor({ select, hover }) {
    this.photoCanvas = byId("photo");
    this.overlayCanvas = byId("overlay");
    this.tip = byId("tip");
    const canvas = this.overlayCanvas;
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerType === "touch") return;
      hover(this.#idAt(event));
      this.#moveTip(event);
    });
    canvas.addEventListener("pointerleave", () => {
      hover(0);
      this.tip.hidden = true;
    });
    canvas.addEventListener("click", (event) => select(this.#idAt(event)));
  }

  get photo() {
    return this.#photo;
  }

  /** photo: an ImageBitmap. The old segments go. */
  show(photo) {
    this.#photo?.close();
    this.#photo = photo;
    const longer = Math.max(photo.width, photo.height);
    const scale = Math.min(LONGEST, Math.max(SHORTEST, longer)) / longer;
    for (const canvas of [this.photoCanvas, this.overlayCanvas]) {
      canvas.width = Math.max(1, Math.round(photo.width * scale));
      canvas.height = Math.max(1, Math.round(photo.height * scale));
    }
    byId("frame").style.setProperty("--ratio", photo.width / photo.height);
    const context = this.photoCanvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(photo, 0, 0, this.photoCanvas.width, this.photoCanvas.height);
    this.setResult(null);
  }

  setResult(result) {
    this.#result = result;
    this.hovered = 0;
    this.selected = 0;
    this.tip.hidden = true;
    this.#view = result && layout(result, this.overlayCanvas.width, this.overlayCanvas.height);
    this.redraw();
  }

  /** Draw once before the screen shows the next image, however often it is asked for. */
  redraw() {
    if (this.#waiting) return;
    this.#waiting = true;
    requestAnimationFrame(() => {
      this.#waiting = false;
      const context = this.overlayCanvas.getContext("2d");
      context.clearRect(0, 0, this.overlayCanvas.width, this.overlayCanvas.height);
      if (this.cover) context.drawImage(this.cover, 0, 0, this.overlayCanvas.width, this.overlayCanvas.height);
      else if (this.#view) this.#draw(context, this.#view, (TEXT * this.#view.width) / this.overlayCanvas.clientWidth);
    });
  }

  /** The photo with its overlay as on the screen, without what is selected, at the photo's own size: a canvas. */
  drawn() {
    const { width, height } = this.#result;
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d");
    context.drawImage(this.#photo, 0, 0, width, height);
    const over = new OffscreenCanvas(width, height);
    const kept = [this.hovered, this.selected];
    [this.hovered, this.selected] = [0, 0];
    this.#draw(over.getContext("2d"), layout(this.#result, width, height), Math.max(10, 0.018 * Math.max(width, height)));
    [this.hovered, this.selected] = kept;
    context.drawImage(over, 0, 0);
    return canvas;
  }

  #isShown = (segment) => !this.hidden.has(segment.label);

  /** textSize: of the names, in pixels of the canvas. */
  #draw(context, view, textSize) {
    const shown = this.#result.segments.filter(this.#isShown);
    const paints = new Map(shown.map((segment) => [segment.id, this.#paint(segment)]));
    const image = context.createImageData(view.width, view.height);
    tint(image, view.ids, view.edges, paints);
    context.putImageData(image, 0, 0);
    if (this.names) for (const segment of shown) this.#drawName(context, view, segment, textSize);
  }

  #paint(segment) {
    const color = channels(this.#result.colorOf(segment));
    const marked = segment.id === this.selected || segment.id === this.hovered;
    let alpha = this.opacity;
    if (marked) alpha = Math.min(1, alpha + 0.15);
    else if (this.selected) alpha *= 0.6;
    const edge = marked ? WHITE : [...color, Math.round(255 * Math.min(1, 2 * alpha))];
    return { fill: [...color, Math.round(255 * alpha)], edge };
  }

  #drawName(context, view, segment, size) {
    const place = view.places.get(segment.id);
    const marked = segment.id === this.selected;
    if (!place) return;
    if (!marked && place.room * Math.max(view.width, view.height) < size) return; // it would hide the segment
    context.font = `600 ${size}px system-ui, sans-serif`;
    const width = context.measureText(segment.name).width + size;
    const height = 1.6 * size;
    const left = Math.min(Math.max(0, place.x * view.width - width / 2), view.width - width);
    const top = Math.min(Math.max(0, place.y * view.height - height / 2), view.height - height);
    context.fillStyle = "rgba(15, 18, 20, 0.72)";
    context.beginPath();
    context.roundRect(left, top, width, height, height / 2);
    context.fill();
    context.fillStyle = "white";
    context.textBaseline = "middle";
    context.fillText(segment.name, left + size / 2, top + height / 2);
  }

  #idAt(event) {
    if (!this.#view) return 0;
    const box = this.overlayCanvas.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * this.#view.width);
    const y = Math.floor(((event.clientY - box.top) / box.height) * this.#view.height);
    if (x < 0 || y < 0 || x >= this.#view.width || y >= this.#view.height) return 0;
    const segment = this.#result.byId.get(this.#view.ids[y * this.#view.width + x]);
    return segment && this.#isShown(segment) ? segment.id : 0;
  }

  #moveTip(event) {
    const segment = this.#result?.byId.get(this.#idAt(event));
    this.tip.hidden = !segment;
    if (!segment) return;
    this.tip.textContent = `${segment.name} · ${percent(segment.score)}`;
    const frame = byId("frame").getBoundingClientRect();
    const left = Math.min(event.clientX - frame.left + 14, frame.width - this.tip.offsetWidth - 4);
    this.tip.style.left = `${left}px`;
    this.tip.style.top = `${event.clientY - frame.top + 18}px`;
  }
}

/** What is needed to draw a result at a size. */
function layout(result, width, height) {
  const ids = resized(result.ids, result.width, result.height, width, height);
  const edges = outlines(ids, width, height, Math.max(1, Math.round(Math.max(width, height) / 800)));
  return { width, height, ids, edges, places: innermost(ids, width, height) };
}
