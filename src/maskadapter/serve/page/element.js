/** Make an element: element("p", { class: "hint", text: "…" }, child, …). `on…` are listeners, the rest attributes. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") made.textContent = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export const byId = (id) => document.getElementById(id);

/** A probability from 0 to 1 as people read it. */
export function percent(value) {
  if (value === null) return "–"; // of a mask without pixels
  return value > 0 && value < 0.005 ? "< 1 %" : `${Math.round(100 * value)} %`;
}
