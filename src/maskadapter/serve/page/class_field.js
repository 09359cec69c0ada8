import { byId, element } from "./element.js";

/* Words to begin with on the example photos. */
const SUGGESTED = {
  astronaut: "person|astronaut, space suit, flag, space shuttle|rocket, wall",
  camera: "person|man, camera, tripod, sky, building, grass",
  chelsea: "cat, blanket|cloth, wall",
  coffee: "cup, saucer, spoon, table",
  rocket: "rocket, tower, sky, light, ground",
};
const FIRST_LIST = "coco-panoptic"; // for a photo about which nothing is known

/** The field with the classes and the menu of built-in lists. */
export class ClassField {
  #lists = new Map(); // name -> number of classes
  #suggested = ""; // what the page wrote itself, and may write over

  /** changed: called when a list was chosen. */
  constructor(server, changed) {
    this.server = server;
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
    const reply = await this.server.json("v1/vocabularies");
    for (const { name, size } of reply.vocabularies ?? reply) this.#lists.set(name, size);
    const options = [...this.#lists].map(([name, size]) => element("option", { value: name, text: `${name} (${size})` }));
    byId("lists").replaceChildren(byId("lists").options[0], ...options);
  }

  /** Write classes that fit the photo, unless somebody typed some. */
  suggest(fileName) {
    const typed = this.field.value.trim();
    if (typed && typed !== this.#suggested) return;
    this.#suggested = SUGGESTED[fileName.replace(/\..*$/, "")] ?? FIRST_LIST;
    this.field.value = this.#suggested;
  }

  /** The classes as the server takes them, with further names at the end: text or, with a list and names, a list. */
  async request(names) {
    const text = this.field.value.trim();
    const known = new Set(text.split(/[,\n|]/).map((name) => name.trim().toLowerCase()));
    const further = names.filter((name) => !known.has(name.toLowerCase()));
    if (!further.length) return text;
    if (!this.#lists.has(text)) return [text, ...further].filter(Boolean).join(", ");
    const list = await this.server.json(`v1/vocabularies/${encodeURIComponent(text)}`);
    return [...list.classes.map((one) => one.names ?? one), ...further];
  }
}
