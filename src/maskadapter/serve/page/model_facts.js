import { byId, element } from "./element.js";

/** Say which model runs, and how to get a better one. */
export async function showModel(server) {
  const [model] = (await server.json("v1/models")).models;
  byId("model-name").textContent = model.name;
  const facts = [["Model", model.name], ["Pooler", model.pooler], ["Precision", model.precision], ["Runs on", model.device]];
  const rows = facts.filter(([, value]) => value);
  byId("model-facts").replaceChildren(...rows.flatMap(([name, value]) => [element("dt", { text: name }), element("dd", { text: value })]));
  byId("model-advice").textContent = model.better ?? "";
  return model;
}
