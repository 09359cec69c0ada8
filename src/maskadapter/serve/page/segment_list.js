import { byId, element, percent } from "./element.js";

/** The classes that were found, each with a switch, and their segments as buttons. */
export class SegmentList {
  #buttons = new Map(); // id -> button

  /** select, hover: called with a segment's id. toggle: called with a class's label and whether it shall be shown. */
  constructor({ select, hover, toggle }) {
    this.actions = { select, hover, toggle };
    this.place = byId("segments");
  }

  /** hidden: labels of the classes that are switched off. */
  show(result, hidden) {
    this.#buttons.clear();
    const groups = result.groups();
    this.place.replaceChildren(...groups.map((group) => this.#group(result, group, hidden)));
    const found = new Set(groups.map((group) => group.label));
    const absent = result.classes.filter((one) => !found.has(one.label)).map((one) => one.name);
    byId("absent").textContent = absentText(absent);
  }

  clear() {
    this.#buttons.clear();
    this.place.replaceChildren();
    byId("absent").textContent = "";
  }

  mark(selected, hovered) {
    for (const [id, button] of this.#buttons) {
      button.setAttribute("aria-pressed", String(id === selected));
      button.classList.toggle("hovered", id === hovered);
    }
  }

  /** Scroll the list, where it scrolls by itself, and never the page, whose photo shall stay in sight. */
  reveal(id) {
    const button = this.#buttons.get(id);
    if (!button) return;
    const scroller = this.place.parentElement;
    const [inner, outer] = [button.getBoundingClientRect(), scroller.getBoundingClientRect()];
    if (inner.bottom > outer.bottom) scroller.scrollTop += inner.bottom - outer.bottom;
    if (inner.top < outer.top) scroller.scrollTop -= outer.top - inner.top;
  }

  focus(id) {
    this.#buttons.get(id)?.focus();
  }

  #group(result, group, hidden) {
    const swatch = element("span", { class: "swatch" });
    swatch.style.backgroundColor = group.color;
    const box = element("input", { type: "checkbox", "aria-label": `Show ${group.name}` });
    box.checked = !hidden.has(group.label);
    box.addEventListener("change", () => this.actions.toggle(group.label, box.checked));
    const head = element("label", { class: "class" }, box, swatch);
    const buttons = group.segments.map((segment, index) => this.#button(segment, index, group.segments.length));
    const items = buttons.map((button) => element("li", {}, button));
    return element("li", { class: "group" }, head, element("ul", { "aria-label": `Segments of ${group.name}` }, ...items));
  }

  #button(segment, index, count) {
    const name = count > 1 ? `${segment.name} ${index + 1}` : segment.name;
    const bar = element("span", { class: "bar", "aria-hidden": "true" }, element("span"));
    bar.firstChild.style.width = `${100 * (segment.score ?? 0)}%`;
    const { select, hover } = this.actions;
    const button = element(
      "button",
      {
        type: "button",
        class: "segment",
        "aria-pressed": "false",
        "data-id": segment.id,
        onclick: () => select(segment.id),
        onpointerenter: () => hover(segment.id),
        onpointerleave: () => hover(0),
        onfocus: () => hover(segment.id),
        onblur: () => hover(0),
      },
      element("span", { class: "name", text: name }),
      bar,
      element("span", { class: "number", text: percent(segment.score) }),
    );
    this.#buttons.set(segment.id, button);
    return button;
  }
}

const MOST_ABSENT = 6;

function absentText(names) {
  if (!names.length) return "";
  const more = names.length > MOST_ABSENT ? ` and ${names.length - MOST_ABSENT} more` : "";
  return `Not found: ${names.slice(0, MOST_ABSENT).join(", ")}${more}`;
}
