import { byId, element } from "./element.js";
import { drawHeat } from "./heat.js";

const MAP_WIDTH = 300; // pixels
const TITLES = { adapter: "Mask-Adapter", pooling: "Mask pooling" };

/** One segment by both poolers: where each reads CLIP's features, and the classes that follow from it. */
export class Comparison {
  #poolers = []; // names; empty where the server has one alone
  #turn = 0; // counts what was asked, so that a late answer to an earlier question is dropped

  /** row: makes the line of a class. fail: called with what went wrong. */
  constructor(server, { row, fail }) {
    this.server = server;
    this.row = row;
    this.fail = fail;
    byId("compare").addEventListener("click", () => {
      const open = byId("compare").ariaExpanded !== "true";
      byId("compare").ariaExpanded = String(open);
      this.#ask();
    });
  }

  /** model: of /v1/models. */
  setModel(model) {
    this.#poolers = model.other_pooler ? [model.pooler, model.other_pooler].sort() : [];
  }

  /** photo: an image. mapPath: where activation maps are, null where there are none. request: of /v1/classify, for the
      one mask; null where it is not known. */
  show(photo, mapPath, request) {
    this.question = { photo, mapPath, request };
    byId("compare").hidden = !this.#poolers.length || !request;
    this.#ask();
  }

  async #ask() {
    const turn = ++this.#turn;
    const { photo, mapPath, request } = this.question;
    byId("comparison").replaceChildren();
    if (byId("compare").hidden || byId("compare").ariaExpanded !== "true") return;
    byId("comparison").setAttribute("aria-busy", "true");
    try {
      const columns = await Promise.all(this.#poolers.map((pooler) => this.#column(pooler, photo, mapPath, request)));
      if (turn === this.#turn) byId("comparison").replaceChildren(...columns);
    } catch (error) {
      if (turn === this.#turn) this.fail(error);
    } finally {
      if (turn === this.#turn) byId("comparison").removeAttribute("aria-busy");
    }
  }

  async #column(pooler, photo, mapPath, request) {
    const [reply, map] = await Promise.all([
      this.server.post("v1/classify", { ...request, pooler }),
      mapPath && this.server.blob(`${mapPath}?pooler=${pooler}`),
    ]);
    const list = element("ol", { class: "best" }, ...reply.segments[0].classes.map(this.row));
    const column = element("section", { "aria-label": TITLES[pooler] }, element("h3", { class: "hint", text: TITLES[pooler] }));
    if (map) {
      const canvas = element("canvas", { role: "img", "aria-label": `Activation map of ${TITLES[pooler]}` });
      drawHeat(canvas, photo, await createImageBitmap(map, { colorSpaceConversion: "none" }), MAP_WIDTH);
      column.append(canvas);
    }
    column.append(list);
    return column;
  }
}
