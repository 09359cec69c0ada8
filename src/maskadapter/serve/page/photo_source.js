import { byId, element } from "./element.js";

/** Every way in which a photo comes: dropped, pasted, chosen, or one of the server's examples. */
export class PhotoSource {
  /** open: called with the photo as a File. fail: called with an error. */
  constructor(server, { open, fail }) {
    this.server = server;
    this.open = open;
    this.fail = fail;
    for (const id of ["choose", "another"]) byId(id).addEventListener("click", () => byId("file").click());
    byId("file").addEventListener("change", ({ target }) => {
      if (target.files.length) open(target.files[0]);
      target.value = ""; // so that the same file may be chosen again
    });
    addEventListener("paste", (event) => {
      const photo = photoIn(event.clipboardData);
      if (!photo) return; // text for a field
      event.preventDefault();
      open(photo);
    });
    this.#listenToDrops();
  }

  #listenToDrops() {
    const cover = byId("drop");
    const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
    addEventListener("dragover", (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      cover.hidden = false;
    });
    addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) cover.hidden = true; // it left the window
    });
    addEventListener("drop", (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      cover.hidden = true;
      const photo = photoIn(event.dataTransfer);
      if (photo) this.open(photo);
      else this.fail(new Error("That is not an image: a photo, as JPEG or PNG, is needed."));
    });
  }

  /** Show the server's example photos; a server may have none. */
  async showExamples() {
    const names = (await this.server.json("v1/examples")).examples;
    const photos = await Promise.all(names.map(async (name) => [name, await this.#example(name)]));
    byId("example-list").replaceChildren(...photos.map(([name, blob]) => this.#button(name, blob)));
    byId("examples").hidden = !photos.length;
  }

  #example(name) {
    return this.server.blob(`v1/examples/${encodeURIComponent(name)}`);
  }

  #button(name, blob) {
    const image = element("img", { src: URL.createObjectURL(blob), alt: "" });
    const onclick = () => this.open(new File([blob], name, { type: blob.type }));
    const button = element("button", { type: "button", class: "example", onclick }, image, element("span", { text: name }));
    return element("li", {}, button);
  }
}

const photoIn = (data) => [...(data?.files ?? [])].find((file) => file.type.startsWith("image/"));
