/** The query's picture: garments as outlines to click, a box to draw, the choice by keyboard. */

import { $, h, pathOf, s } from "./dom.js";

const LEAST = 8; // pixels of the screen: less is a click, not a box

/** Shows a picture and its garments; `choose` is called with { number } or { box }. */
export class Stage {
  constructor(choose) {
    this.choose = choose;
    this.host = $("stage");
    this.drawing = false;
    $("draw").addEventListener("click", () => this.draw(!this.drawing));
  }

  /** A state while the picture's garments are looked for. */
  busy(url) {
    this.host.replaceChildren(
      url ? h("img", { src: url, alt: "" }) : h("div", { class: "blank" }),
      h("div", { class: "scan", role: "status" }, h("span", {}, "Looking for garments…")));
    $("garments").hidden = true;
    $("draw").hidden = true;
    this.note("");
  }

  /**
   * Shows a picture with its garments.
   * @param {{url: string, width: number, height: number, garments: object[], own: boolean}} view
   * @param {{number: ?number, box: ?number[]}} choice
   */
  show(view, choice) {
    this.view = view;
    const picture = h("img", { src: view.url, alt: view.own ? "Your picture" : "Picture of the catalog", width: view.width, height: view.height });
    picture.addEventListener("error", () => picture.replaceWith(h("div", { class: "blank" })));
    this.svg = s("svg", { class: "outlines", viewBox: `0 0 ${view.width} ${view.height}`, "aria-hidden": "true" });
    this.host.replaceChildren(picture, this.svg);
    this.host.style.setProperty("--ratio", `${view.width} / ${view.height}`);
    $("draw").hidden = !view.own;
    this.draw(false);
    this.list();
    this.mark(choice);
    if (!view.garments.length && view.own) {
      this.note("No garment was recognized. Draw a box around the one you mean: press “Draw a box”, then drag over the picture.");
    } else this.note("");
  }

  /** Marks what is searched with. */
  mark({ number = null, box = null }) {
    this.chosen = box ? null : number;
    this.box = box;
    this.outlines();
    for (const input of $("garments").querySelectorAll("input")) {
      input.checked = !box && Number(input.value) === number;
    }
  }

  note(text) {
    $("stage-note").textContent = text;
    $("stage-note").hidden = !text;
  }

  list() {
    const garments = this.view.garments.map((garment, number) =>
      h("label", { class: "garment" },
        h("input", { type: "radio", name: "garment", value: number, onchange: () => this.choose({ number }) }),
        h("span", { class: "garment-name" }, garment.category),
        h("span", { class: "garment-score", title: "confidence" }, `${Math.round(100 * garment.score)} %`)));
    $("garments").replaceChildren($("garments").querySelector("legend"), ...garments);
    $("garments").hidden = !garments.length;
  }

  outlines() {
    const { width, height, garments } = this.view;
    const line = Math.max(width, height) / 160;
    this.svg.style.setProperty("--line", `${line}px`);
    const shapes = garments.map((garment, number) => {
      const path = s("path", { d: pathOf(garment.polygons ?? []), class: number === this.chosen ? "outline chosen" : "outline" },
        s("title", {}, `${garment.category}, ${Math.round(100 * garment.score)} %`));
      path.addEventListener("click", () => !this.drawing && this.choose({ number }));
      return path;
    });
    const dim = this.chosen !== null && garments[this.chosen]
      ? [s("path", { class: "dim", "fill-rule": "evenodd", d: `M0 0H${width}V${height}H0Z${pathOf(garments[this.chosen].polygons ?? [])}` })]
      : [];
    const box = this.drawing ? this.draft : this.box;
    this.svg.replaceChildren(...dim, ...shapes, ...(box ? [this.rectangle(box)] : []));
  }

  rectangle([x1, y1, x2, y2]) {
    return s("rect", { class: "drawn", x: x1, y: y1, width: x2 - x1, height: y2 - y1 });
  }

  /** Enters or leaves drawing; a pad over the picture takes pointer and keys meanwhile. */
  draw(on) {
    this.drawing = on;
    $("draw").setAttribute("aria-pressed", String(on));
    $("draw").textContent = on ? "Cancel" : "Draw a box";
    this.host.querySelector(".pad")?.remove();
    if (!on) return;
    const { width, height } = this.view;
    this.draft = this.box ?? [0.2 * width, 0.15 * height, 0.8 * width, 0.85 * height].map(Math.round);
    const pad = h("div", {
      class: "pad", tabindex: 0, role: "application",
      "aria-label": "Draw a box: drag, or move it with the arrow keys, resize it with Shift and the arrow keys, search with Enter",
      onpointerdown: (event) => this.start(event, pad),
      onkeydown: (event) => this.key(event),
    });
    this.host.append(pad);
    this.sketch();
    pad.focus({ preventScroll: true });
    this.note("Drag over the garment; or use the arrow keys, Shift to resize, Enter to search.");
  }

  sketch() {
    this.svg.querySelector(".drawn")?.remove();
    this.svg.append(this.rectangle(this.draft));
  }

  /** Pixels of the picture under a pointer. */
  point(event) {
    const area = this.svg.getBoundingClientRect();
    const clamp = (value) => Math.min(Math.max(value, 0), 1);
    return [
      clamp((event.clientX - area.left) / area.width) * this.view.width,
      clamp((event.clientY - area.top) / area.height) * this.view.height,
    ];
  }

  start(event, pad) {
    event.preventDefault();
    pad.setPointerCapture(event.pointerId);
    const [x, y] = this.point(event);
    pad.onpointermove = (move) => {
      const [u, v] = this.point(move);
      this.draft = [Math.min(x, u), Math.min(y, v), Math.max(x, u), Math.max(y, v)];
      this.sketch();
    };
    pad.onpointerup = (up) => {
      pad.onpointermove = pad.onpointerup = null;
      if (Math.hypot(up.clientX - event.clientX, up.clientY - event.clientY) >= LEAST) this.finish();
    };
  }

  key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const step = steps[event.key];
    if (event.key === "Enter") this.finish();
    else if (event.key === "Escape") this.cancel();
    else if (step) this.shift(step, event.shiftKey);
    else return;
    event.preventDefault();
  }

  /** Moves the draft, or its lower right corner, by a fiftieth of the picture. */
  shift([dx, dy], resize) {
    const { width, height } = this.view;
    const x = (dx * width) / 50;
    const y = (dy * height) / 50;
    const [x1, y1, x2, y2] = this.draft;
    const moved = resize ? [x1, y1, x2 + x, y2 + y] : [x1 + x, y1 + y, x2 + x, y2 + y];
    const fits = moved[0] >= 0 && moved[1] >= 0 && moved[2] <= width && moved[3] <= height
      && moved[2] - moved[0] > width / 25 && moved[3] - moved[1] > height / 25;
    if (fits) this.draft = moved;
    this.sketch();
  }

  finish() {
    const box = this.draft.map((side) => Math.round(side));
    this.draw(false);
    this.note("");
    $("draw").focus({ preventScroll: true });
    if (box[2] - box[0] >= 2 && box[3] - box[1] >= 2) this.choose({ box });
    else this.outlines();
  }

  cancel() {
    this.draw(false);
    this.note("");
    this.outlines();
    $("draw").focus();
  }
}
