/** The hits as cards: picture, palette, total, three scores. Cards move rather than flash. */

import { imageUrl } from "./api.js";
import { $, h, label, score, words } from "./dom.js";
import { CRITERIA, toAddress, withGarment } from "./query.js";

const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Results {
  /** @param {{more: Function, compare: Function}} act what the cards' buttons do */
  constructor(act) {
    this.act = act;
    this.grid = $("grid");
    this.cards = new Map();
  }

  /** Gray cards while the first results are on their way. */
  waiting() {
    if (this.grid.children.length) {
      this.grid.setAttribute("aria-busy", "true");
      return;
    }
    this.grid.replaceChildren(...Array.from({ length: 12 }, () => h("li", { class: "hit ghost", "aria-hidden": "true" }, h("div", { class: "hit-picture" }))));
    $("nothing").hidden = true;
  }

  show(query, answer) {
    const before = new Map([...this.cards].map(([id, card]) => [id, card.getBoundingClientRect()]));
    const next = new Map();
    for (const hit of answer.hits) {
      const old = this.cards.get(hit.garment_id);
      const card = old && old.dataset.generation === answer.generation ? old : this.card(hit, answer);
      this.update(card, hit, query);
      next.set(hit.garment_id, card);
    }
    this.cards = next;
    this.arrange([...next.values()]);
    this.grid.removeAttribute("aria-busy");
    if (!calm.matches) this.glide(before);
  }

  /** Puts the cards in order, moving no card that is in its place: a focused one keeps focus. */
  arrange(cards) {
    const kept = new Set(cards);
    for (const child of [...this.grid.children]) if (!kept.has(child)) child.remove();
    cards.forEach((card, place) => {
      if (this.grid.children[place] !== card) this.grid.insertBefore(card, this.grid.children[place] ?? null);
    });
  }

  clear() {
    this.cards.clear();
    this.grid.replaceChildren();
    this.grid.removeAttribute("aria-busy");
  }

  glide(before) {
    for (const [id, card] of this.cards) {
      const old = before.get(id);
      if (!old) {
        card.animate({ opacity: [0, 1] }, { duration: 160, easing: "ease-out" });
        continue;
      }
      const now = card.getBoundingClientRect();
      const [x, y] = [old.left - now.left, old.top - now.top];
      if (x || y) card.animate({ transform: [`translate(${x}px, ${y}px)`, "none"] }, { duration: 220, easing: "cubic-bezier(.2,.8,.3,1)" });
    }
  }

  card(hit, answer) {
    const name = title(hit);
    const [x1, y1, x2, y2] = hit.box;
    const picture = h("img", { src: imageUrl(answer.catalog, hit.image_id, 384), alt: "", loading: "lazy", decoding: "async" });
    picture.addEventListener("load", () => {
      const center = (low, high, side) => `${Math.round((100 * (low + high)) / 2 / side)}%`;
      const grown = hit.width ?? 0;
      if (grown) picture.style.setProperty("object-position", `${center(x1, x2, hit.width)} ${center(y1, y2, hit.height)}`);
      picture.classList.add("here");
    });
    picture.addEventListener("error", () => picture.replaceWith(h("span", { class: "gone" }, "picture not available")));
    const link = h("a", { class: "hit-link", tabindex: -1, "aria-hidden": "true" }, h("div", { class: "hit-picture" }, picture));
    const card = h("li", { class: "hit", "data-garment": hit.garment_id, "data-item": hit.item_id, "data-generation": answer.generation },
      link,
      palette(hit.palette),
      h("div", { class: "hit-head" }, h("span", { class: "hit-title", title: hit.item_id }, name), h("span", { class: "hit-score" })),
      h("p", { class: "hit-facts" }, facts(hit)),
      h("dl", { class: "scores" }, CRITERIA.map((criterion) => h("div", { class: `row ${criterion}` },
        h("dt", {}, label(criterion)), h("dd", {}, h("span", { class: "meter" }, h("i")), h("span", { class: "digits" }))))),
      h("div", { class: "hit-tools" },
        h("button", { class: "button quiet", type: "button", "aria-label": `More like ${name}`, onclick: () => this.act.more(hit.garment_id) }, "More like this"),
        h("button", { class: "button quiet", type: "button", "aria-label": `Compare with ${name}`, onclick: () => this.act.compare(card.hit) }, "Compare"),
        h("a", { class: "button quiet", target: "_blank", rel: "noopener", href: imageUrl(answer.catalog, hit.image_id), "aria-label": `Open the original picture of ${name}`, title: "Open original" }, "↗")));
    link.addEventListener("click", (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
      event.preventDefault();
      this.act.more(hit.garment_id);
    });
    return card;
  }

  update(card, hit, query) {
    card.hit = hit;
    card.classList.toggle("self", hit.garment_id === query.garmentId);
    card.querySelector(".hit-link").href = toAddress(withGarment(query, hit.garment_id));
    card.querySelector(".hit-score").textContent = score(hit.score);
    card.querySelector(".hit-score").title = "total score";
    for (const criterion of CRITERIA) {
      const row = card.querySelector(`.row.${criterion}`);
      row.classList.toggle("idle", !query.weights[criterion]);
      row.querySelector("i").style.setProperty("--part", hit[criterion]);
      row.querySelector(".digits").textContent = score(hit[criterion]);
    }
  }
}

const NAMES = ["name", "title", "product", "label"];

/** What a hit is called: the merchant's name for it where a column has one. */
export function title(hit) {
  const column = NAMES.find((name) => hit.metadata[name]);
  return column ? words(hit.metadata[column]) : hit.category === "garment" ? hit.item_id : hit.category;
}

const SECOND = ["brand", "price", "color_name"];

function facts(hit) {
  const known = SECOND.filter((name) => hit.metadata[name] !== undefined && hit.metadata[name] !== null);
  const parts = (known.length ? known : Object.keys(hit.metadata).slice(0, 3)).map((name) => words(hit.metadata[name]));
  return [...parts, hit.metadata.in_stock === false ? "sold out" : null].filter(Boolean).join(" · ");
}

/** A garment's colors as one strip, each as wide as its share. */
export function palette(swatches) {
  const text = swatches.map(({ name, share }) => `${name} ${Math.round(100 * share)} %`).join(", ");
  return h("div", { class: "palette", role: "img", "aria-label": `Colors: ${text || "unknown"}`, title: text },
    swatches.map(({ hex, share }) => h("i", { style: { background: hex, "flex-grow": share } })));
}
