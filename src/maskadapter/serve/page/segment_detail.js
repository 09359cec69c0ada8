import { Comparison } from "./comparison.js";
import { byId, element, percent } from "./element.js";
import { drawHeat } from "./heat.js";

const MAP_WIDTH = 900; // pixels

/** One segment: its best classes and what they were read from. */
export class SegmentDetail {
  #shown = 0; // id of the segment, 0 for none

  /** close: called when the details shall go. teach: called with a class name that the segment is an example of.
      spread: called with a canvas that shall cover the photo, null for none. fail: called with what went wrong. */
  constructor(server, { close, teach, spread, fail }) {
    this.server = server;
    this.comparison = new Comparison(server, { row, fail });
    this.place = byId("detail");
    this.spread = spread;
    byId("spread").addEventListener("click", () => this.#setSpread(byId("spread").ariaPressed !== "true"));
    byId("close-detail").addEventListener("click", close);
    byId("teach").addEventListener("submit", (event) => {
      event.preventDefault();
      teach(byId("teach-name").value.trim());
      byId("teach-name").value = "";
    });
  }

  hide() {
    this.#shown = 0;
    this.#setSpread(false);
    this.place.hidden = true;
  }

  #setSpread(pressed) {
    byId("spread").ariaPressed = String(pressed);
    this.spread(pressed ? byId("map") : null);
  }

  /** photo: an image. mapPath: where the activation map is, null where there is none. question: of /v1/classify for the
      mask of the segment alone, null where the mask is not known. */
  show(segment, photo, mapPath, question) {
    this.#shown = segment.id;
    byId("detail-title").textContent = segment.name;
    byId("best").replaceChildren(...segment.classes.map(row));
    this.place.hidden = false;
    this.#showMap(segment, photo, mapPath);
    this.comparison.show(photo, mapPath, question);
  }

  async #showMap(segment, photo, mapPath) {
    const figure = byId("map-figure");
    figure.hidden = true;
    this.#setSpread(false);
    if (!mapPath) return;
    try {
      const map = await createImageBitmap(await this.server.blob(mapPath), { colorSpaceConversion: "none" });
      if (this.#shown !== segment.id) return; // another was clicked meanwhile
      drawHeat(byId("map"), photo, map, MAP_WIDTH);
      figure.hidden = false;
    } catch {
      // The classes are there; a map that is not, such as one of an image that the server has forgotten, is left out.
    }
  }
}

function row({ name, probability }) {
  const bar = element("span", { class: "bar", "aria-hidden": "true" }, element("span"));
  bar.firstChild.style.width = `${100 * probability}%`;
  const number = element("span", { class: "number", text: percent(probability) });
  return element("li", {}, element("span", { class: "name", text: name }), number, bar);
}
