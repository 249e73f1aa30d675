/** Why a hit was found: both garments, their outlines laid over each other, colors and cloth. */

import { imageUrl, post } from "./api.js";
import { $, dialogHead, h, label, openDialog, pathOf, s, score, words } from "./dom.js";
import { chosen, CRITERIA } from "./query.js";
import { title } from "./results.js";

/** Opens the comparison of `hit` with what was searched for. */
export async function compare(query, view, hit, more) {
  const dialog = $("compare");
  const body = h("div", { class: "compare-body" });
  openDialog(dialog, dialogHead("compare-title", title(hit), dialog), body);
  body.replaceChildren(h("p", { class: "hint", role: "status" }, "Comparing…"));
  try {
    const why = await post("explain", { catalog: query.catalog, hit: hit.garment_id, ...chosen(query) });
    body.replaceChildren(...content(query, view, hit, why, () => { dialog.close(); more(hit.garment_id); }));
  } catch (error) {
    body.replaceChildren(h("p", { class: "banner", role: "alert" }, error.message));
  }
}

function content(query, view, hit, why, more) {
  return [
    h("div", { class: "pair" },
      side("Looking for", view.url, why.query, "query"),
      side("Found", imageUrl(query.catalog, hit.image_id, 640), why.hit, "hit")),
    h("section", { class: "why" },
      criterion("color", hit, h("div", { class: "why-colors" }, swatches(why.query.palette), swatches(why.hit.palette))),
      criterion("texture", hit, h("div", { class: "why-cloth" },
        h("img", { src: why.query.texture, alt: `Cloth looked for: ${why.query.pattern}` }),
        h("img", { src: why.hit.texture, alt: `Cloth found: ${why.hit.pattern}` }))),
      criterion("shape", hit, silhouettes(why))),
    h("dl", { class: "facts" }, Object.entries(hit.metadata).flatMap(([column, value]) => [h("dt", {}, label(column)), h("dd", {}, words(value))]),
      h("dt", {}, "Item"), h("dd", {}, hit.item_id), h("dt", {}, "Garment"), h("dd", {}, h("code", {}, hit.garment_id))),
    h("div", { class: "dialog-tools" },
      h("button", { class: "button primary", type: "button", onclick: more }, "More like this"),
      h("a", { class: "button", href: imageUrl(query.catalog, hit.image_id), target: "_blank", rel: "noopener" }, "Open original")),
  ];
}

function side(caption, url, garment, role) {
  const { width, height, polygons } = garment.outline;
  return h("figure", { class: `side-${role}` },
    h("div", { class: "stage", style: { "--ratio": `${width} / ${height}` } },
      h("img", { src: url, alt: caption, width, height }),
      s("svg", { class: "outlines", viewBox: `0 0 ${width} ${height}`, style: { "--line": `${Math.max(width, height) / 160}px` } },
        s("path", { class: "outline chosen", d: pathOf(polygons) }))),
    h("figcaption", {}, caption));
}

function criterion(name, hit, picture) {
  return h("div", { class: `reason ${name}` },
    h("h3", {}, label(name), h("span", {}, score(hit[name]))),
    h("span", { class: "meter" }, h("i", { style: { "--part": hit[name] } })),
    picture);
}

function swatches(palette) {
  return h("ul", {}, palette.map(({ hex, name, share }) =>
    h("li", {}, h("i", { class: "dot", style: { background: hex } }), h("span", {}, name), h("span", { class: "digits" }, `${Math.round(100 * share)} %`))));
}

/** Both outlines in one frame of unit height, centered and scaled alike. */
function silhouettes(why) {
  const text = "The outline looked for and the outline found, laid over each other";
  return h("div", { class: "why-shape" },
    s("svg", { viewBox: "0 0 100 100", role: "img", "aria-label": text },
      s("path", { class: "query", d: pathOf(why.query.silhouette) }),
      s("path", { class: "hit", d: pathOf(why.hit.silhouette) })),
    h("p", { class: "key" }, h("span", { class: "query" }, "looking for"), h("span", { class: "hit" }, "found")));
}
