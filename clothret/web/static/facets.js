/** Filters made from the metadata: values with counts, ranges, dates; and the active ones as chips. */

import { $, h, label, words } from "./dom.js";

const SHOWN = 8;

/** Draws the facets; `change` is called with the new filters. */
export class Facets {
  constructor(change) {
    this.change = change;
    this.host = $("facets");
    this.base = [];
    this.kinds = {};
    this.opened = new Set();
    $("clear").addEventListener("click", () => this.change({}));
    $("fold").addEventListener("click", () => this.fold());
  }

  fold() {
    const open = $("fold").getAttribute("aria-expanded") !== "true";
    $("fold").setAttribute("aria-expanded", String(open));
    $("fold").textContent = open ? "Hide filters" : "Show filters";
  }

  /** Takes the catalog's facets, unfiltered. */
  load(facets) {
    this.base = facets;
    this.kinds = Object.fromEntries(facets.map((facet) => [facet.column, facet.kind]));
    $("columns").replaceChildren(...facets.flatMap((facet) => [h("code", { title: facet.kind }, facet.column), " "]));
    this.host.replaceChildren(...facets.filter((facet) => facet.shown).map((facet, place) => this.facet(facet, place)));
  }

  facet(facet, place) {
    const summary = h("summary", {}, h("span", {}, label(facet.column)), h("span", { class: "facet-state" }));
    const body = facet.values ? this.values(facet) : this.range(facet);
    const open = place < 4 || facet.column === "color_name";
    return h("details", { class: "facet", "data-column": facet.column, open }, summary, body);
  }

  values(facet) {
    const rows = facet.values.map(({ value, count }, place) => {
      const key = String(value);
      return h("li", { class: place >= SHOWN ? "late" : undefined },
        h("label", { class: "choice" },
          h("input", { type: "checkbox", value: key, onchange: () => this.toggle(facet.column) }),
          facet.swatches?.[key] && h("i", { class: "dot", style: { background: facet.swatches[key] } }),
          h("span", { class: "choice-name" }, words(value)),
          h("span", { class: "choice-count" }, String(count))));
    });
    const list = h("ul", { class: "choices" }, rows);
    if (rows.length <= SHOWN) return h("fieldset", {}, h("legend", { class: "visually-hidden" }, label(facet.column)), list);
    const all = h("button", {
      class: "button quiet", type: "button",
      onclick: () => { list.classList.add("all"); all.remove(); },
    }, `All ${rows.length}`);
    return h("fieldset", {}, h("legend", { class: "visually-hidden" }, label(facet.column)), list, all);
  }

  range(facet) {
    const date = facet.kind === "date";
    const input = (side, text) => h("label", { class: "bound" }, h("span", {}, text),
      h("input", {
        type: date ? "date" : "number", step: "any", "data-side": side, inputmode: date ? undefined : "decimal",
        min: date ? facet.min : undefined, max: date ? facet.max : undefined,
        placeholder: date ? undefined : words(side === "from" ? facet.min : facet.max),
        onchange: () => this.bound(facet.column),
      }));
    return h("fieldset", { class: "range" }, h("legend", { class: "visually-hidden" }, label(facet.column)),
      input("from", "from"), input("to", "to"));
  }

  box(column) {
    return [...this.host.children].find((element) => element.dataset.column === column);
  }

  toggle(column) {
    const values = [...this.box(column).querySelectorAll("input:checked")].map((input) => input.value);
    this.set(column, values.length ? { values } : null);
  }

  bound(column) {
    const [from, to] = ["from", "to"].map((side) => this.box(column).querySelector(`[data-side=${side}]`).value || null);
    this.set(column, from === null && to === null ? null : { from, to });
  }

  set(column, filter) {
    const filters = { ...this.filters };
    if (filter) filters[column] = filter;
    else delete filters[column];
    this.change(filters);
  }

  /** Shows which filters are active. */
  mark(filters) {
    this.filters = filters;
    for (const box of this.host.children) {
      const filter = filters[box.dataset.column];
      for (const input of box.querySelectorAll("input[type=checkbox]")) input.checked = filter?.values?.includes(input.value) ?? false;
      for (const input of box.querySelectorAll("[data-side]")) {
        if (document.activeElement !== input) input.value = filter?.[input.dataset.side] ?? "";
      }
      box.querySelector(".facet-state").textContent = filter ? (filter.values ? String(filter.values.length) : "•") : "";
      if (filter) box.open = true;
    }
    const chips = Object.entries(filters).map(([column, filter]) => this.chip(column, filter));
    $("chips").replaceChildren(...chips);
    $("clear").hidden = !chips.length;
  }

  chip(column, filter) {
    const values = filter.values?.map((value) => (this.kinds[column] === "boolean" ? words(value === "true") : value)).join(", ");
    const text = `${label(column)}: ${values ?? [filter.from && `from ${filter.from}`, filter.to && `to ${filter.to}`].filter(Boolean).join(" ")}`;
    return h("li", {}, h("button", {
      class: "chip", type: "button", "aria-label": `Remove filter ${text}`, onclick: () => this.set(column, null),
    }, text, h("span", { "aria-hidden": "true" }, "×")));
  }

  /** Shows the counts under the present filters; a column's own filter does not lower its own. */
  count(facets, filters) {
    const counts = Object.fromEntries(facets.map((facet) => [facet.column, new Map(facet.values?.map(({ value, count }) => [String(value), count]))]));
    const base = Object.fromEntries(this.base.map((facet) => [facet.column, new Map(facet.values?.map(({ value, count }) => [String(value), count]))]));
    for (const box of this.host.children) {
      const column = box.dataset.column;
      const source = filters[column] ? base[column] : counts[column];
      for (const choice of box.querySelectorAll(".choice")) {
        const count = source?.get(choice.querySelector("input").value) ?? 0;
        choice.querySelector(".choice-count").textContent = String(count);
        choice.classList.toggle("none", count === 0);
      }
    }
  }
}
