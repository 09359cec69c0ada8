import { byId, element } from "./element.js";

/** Classes that have been shown by example: segments of this and earlier photos. */
export class Exemplars {
  #examples = []; // { name, photo, mask }

  /** changed: called when an example was taken away. */
  constructor(changed) {
    this.changed = changed;
  }

  /** The photos that the examples are of. */
  get photos() {
    return [...new Set(this.#examples.map((one) => one.photo))];
  }

  /** As the server takes them. */
  get request() {
    return this.#examples.map(({ name, photo, mask }) => ({ name, image_id: photo.id, mask }));
  }

  add(name, photo, mask) {
    this.#examples.push({ name, photo, mask });
    this.#show();
  }

  #remove(name) {
    this.#examples = this.#examples.filter((one) => one.name !== name);
    this.#show();
    this.changed();
  }

  #show() {
    const names = [...new Set(this.#examples.map((one) => one.name))];
    const chips = names.map((name) => {
      const count = this.#examples.filter((one) => one.name === name).length;
      return chip(`${name} · ${count} example${count > 1 ? "s" : ""}`, `Forget ${name}`, () => this.#remove(name));
    });
    byId("exemplars").replaceChildren(...chips);
    byId("exemplars").hidden = !chips.length;
  }
}

/** A small label with a button that takes it away. */
export function chip(text, action, remove) {
  const button = element("button", { type: "button", "aria-label": action, text: "✕", onclick: remove });
  return element("li", {}, element("span", { text }), button);
}
