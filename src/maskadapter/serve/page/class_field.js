import { byId, element } from "./element.js";

/* Words to begin with on the example photos. */
const SUGGESTED = {
  astronaut: "person|astronaut, flag, space shuttle|rocket, wall",
  camera: "person|man, camera, tripod, sky, building, ground|grass|pavement",
  cat: "cat, blanket|cloth, wall",
  coffee: "cup, saucer, spoon, table",
  rocket: "rocket, tower, sky",
};
const FIRST_LIST = "coco-panoptic"; // for a photo about which nothing is known

/** The field with the classes and the menu of built-in lists. */
export class ClassField {
  #server;
  #suggested = ""; // what the page wrote itself, and may write over

  /** changed: called when a list was chosen. */
  constructor(server, changed) {
    this.#server = server;
    this.field = byId("classes");
    byId("lists").addEventListener("change", ({ target }) => {
      if (target.value) this.field.value = target.value;
      target.value = "";
      changed();
    });
    this.field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      byId("ask").requestSubmit();
    });
  }

  async readLists() {
    const reply = await this.#server.json("v1/vocabularies");
    const options = reply.vocabularies.map(({ name, size }) => element("option", { value: name, text: `${name} (${size})` }));
    byId("lists").replaceChildren(byId("lists").options[0], ...options);
  }

  /** Write classes that fit the photo, unless somebody typed some. */
  suggest(fileName) {
    if (this.text && this.text !== this.#suggested) return;
    this.#suggested = SUGGESTED[fileName.replace(/\..*$/, "")] ?? FIRST_LIST;
    this.field.value = this.#suggested;
  }

  get text() {
    return this.field.value.trim();
  }
}
