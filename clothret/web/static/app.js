/** The page: address → query → results, and back. */

import { detect, get, imageUrl, post } from "./api.js";
import { compare } from "./compare.js";
import { openCopy } from "./copy.js";
import { $, debounce, h, label, toast } from "./dom.js";
import { Facets } from "./facets.js";
import { asked, blank, canShowMore, CRITERIA, fromAddress, more, toAddress, toBody, whereOf, withGarment, withPicture } from "./query.js";
import { Results } from "./results.js";
import { Stage } from "./stage.js";
import { keep, recall } from "./store.js";

const STREAM = 60; // ms between a slider's movement and its search
const POLL = 15_000; // ms between looks for a newer generation

let query = blank();
let catalogs = [];
let limits = { bytes: Infinity };
let view = null; // the query's picture: url, size, garments
let file = null; // the picture of one's own
let answer = null;
let running = null;

const stage = new Stage((choice) => ask({ ...query, number: choice.number ?? null, box: choice.box ?? null }, "push"));
const facets = new Facets((filters) => ask({ ...query, filters }, "push"));
const results = new Results({
  more: (garment) => ask(withGarment(query, garment), "push"),
  compare: (hit) => compare(query, view, hit, (garment) => ask(withGarment(query, garment), "push")),
});

// ── the address ───────────────────────────────────────────────────────────────────────────────

/** Takes a new query: shows it, remembers it in the address, searches. */
async function ask(next, history) {
  const old = query;
  query = next;
  const address = toAddress(query);
  if (history === "push" && address !== location.pathname + location.search) window.history.pushState(null, "", address);
  else if (history === "replace") window.history.replaceState(null, "", address);
  await render(old);
}

window.addEventListener("popstate", () => ask(fromAddress(location.search), null));

// ── showing a query ───────────────────────────────────────────────────────────────────────────

async function render(old = null) {
  if (!catalogs.some(({ name, generation }) => name === query.catalog && generation)) query = { ...query, catalog: firstCatalog() };
  const none = !query.catalog;
  $("no-catalog").hidden = !none;
  $("start").hidden = none || asked(query);
  $("work").hidden = none || !asked(query);
  document.title = asked(query) ? `Look-alikes · ${query.catalog} · clothret` : "clothret";
  if (none) return;
  if (old?.catalog !== query.catalog || !facets.base.length) await loadCatalog();
  showControls();
  if (!asked(query)) return reset();
  await showPicture();
  search();
}

function reset() {
  running?.abort();
  answer = null;
  view = null;
  results.clear();
  fault(null);
  showSamples();
}

function showControls() {
  $("catalog").value = query.catalog;
  for (const criterion of CRITERIA) {
    const input = $(`weight-${criterion}`);
    if (document.activeElement !== input) input.value = query.weights[criterion];
    showWeight(criterion);
  }
  if (document.activeElement !== $("where")) $("where").value = query.where;
  if (query.where) $("expert").open = true;
  facets.mark(query.filters);
  if (!Object.keys(query.filters).length && query.where) $("clear").hidden = false;
}

/** Shows the picture of the query, with its garments, unless it is the one shown. */
async function showPicture() {
  const key = query.garmentId ?? query.picture;
  if (view?.key !== key || view.catalog !== query.catalog) {
    view = null;
    stage.busy(file && query.picture ? URL.createObjectURL(file) : null);
    try {
      view = query.garmentId ? await ofCatalog(query.garmentId) : await ofUpload(query.picture);
    } catch (error) {
      if (error.name !== "AbortError") fault(error);
      stage.busy(null);
      $("stage").replaceChildren(h("div", { class: "blank" }));
      return;
    }
    stage.show(view, choice());
  } else stage.mark(choice());
}

/** Which garment of the picture is searched with; the largest where none was chosen. */
function choice() {
  if (query.garmentId) return { number: view.garments.findIndex((garment) => garment.garment_id === query.garmentId) };
  if (query.box) return { box: query.box };
  return { number: query.number ?? (view.garments.length ? largest(view.garments) : null) };
}

const area = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);
const largest = (garments) => garments.reduce((best, garment, number) => (area(garment.box) > area(garments[best].box) ? number : best), 0);

async function ofCatalog(garmentId) {
  const found = await get(`garments/${garmentId}`, { catalog: query.catalog });
  return { ...found, key: garmentId, catalog: query.catalog, own: false, url: imageUrl(query.catalog, found.image_id, 1024) };
}

/** A picture of one's own by its name: from this browser's store, seen by the server again. */
async function ofUpload(name) {
  file = (await recall(name)) ?? null;
  if (!file) throw new Error("This picture was searched with in another browser, or long ago. Choose it again.");
  return seen(file, await detect(file, query.catalog));
}

function seen(picture, found) {
  if (view?.url?.startsWith("blob:")) URL.revokeObjectURL(view.url);
  return { ...found, key: found.picture, catalog: query.catalog, own: true, url: URL.createObjectURL(picture) };
}

// ── a picture of one's own ────────────────────────────────────────────────────────────────────

async function take(picture) {
  if (!query.catalog) return;
  if (picture.size > limits.bytes) {
    return toast(`This picture has ${(picture.size / 2 ** 20).toFixed(0)} MB; up to ${Math.floor(limits.bytes / 2 ** 20)} MB are allowed.`);
  }
  running?.abort();
  $("start").hidden = true;
  $("work").hidden = false;
  fault(null);
  results.clear();
  results.waiting();
  $("summary").textContent = "";
  stage.busy(URL.createObjectURL(picture));
  try {
    const found = await detect(picture, query.catalog);
    await keep(found.picture, picture);
    file = picture;
    view = seen(picture, found);
    stage.show(view, { number: found.garments.length ? largest(found.garments) : null });
    await ask(withPicture(query, found.picture), "push");
  } catch (error) {
    results.clear();
    $("stage").replaceChildren(h("div", { class: "blank" }));
    fault(error);
  }
}

for (const button of document.querySelectorAll("[data-pick]")) button.addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => {
  const [picture] = $("file").files;
  if (picture) take(picture);
  $("file").value = "";
});
document.addEventListener("paste", (event) => {
  const picture = [...(event.clipboardData?.files ?? [])].find(({ type }) => type.startsWith("image/"));
  if (picture) take(picture);
});
const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
document.addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  $("veil").hidden = false;
});
document.addEventListener("dragleave", (event) => !event.relatedTarget && ($("veil").hidden = true));
document.addEventListener("drop", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  $("veil").hidden = true;
  const picture = [...event.dataTransfer.files].find(({ type }) => type.startsWith("image/"));
  if (picture) take(picture);
  else toast("That is not a picture.");
});

// ── searching ─────────────────────────────────────────────────────────────────────────────────

/** Searches for the present query; a search under way is dropped. */
async function search() {
  running?.abort();
  if (!view) return;
  if (view.own && !view.garments.length && !query.box) return nothingYet();
  const mine = (running = new AbortController());
  results.waiting();
  try {
    const found = await post("search", toBody(query, facets.kinds), { signal: mine.signal });
    if (mine.signal.aborted) return;
    answer = found;
    showAnswer();
    countFacets(mine.signal);
  } catch (error) {
    if (error.name === "AbortError") return;
    if (error.code === "picture_gone") return lookAgain();
    if (error.code === "filter") return whereFault(error.message);
    results.clear();
    fault(error);
  }
}

/** The server forgot the picture (it keeps few): it is shown to it once more. */
async function lookAgain() {
  view = null;
  await showPicture();
  if (view) search();
}

function showAnswer() {
  fault(null);
  whereFault("");
  results.show(query, answer);
  const { hits, seconds } = answer;
  $("summary").textContent = `${hits.length} ${hits.length === 1 ? "item" : "items"} · ${Math.max(1, Math.round(1000 * seconds))} ms`;
  $("nothing").hidden = hits.length > 0;
  $("more").hidden = hits.length < query.k || !canShowMore(query);
  if (!hits.length) nothing(...emptyText());
  showGeneration(answer.generation);
}

function emptyText() {
  const filtered = Object.keys(query.filters).length || query.where;
  return filtered
    ? ["Nothing passes these filters", "Look-alikes exist, but none of them satisfies every filter.", h("button", { class: "button", type: "button", onclick: () => ask({ ...query, filters: {}, where: "" }, "push") }, "Clear the filters")]
    : ["Nothing to show", answer.note ?? "The catalog is empty."];
}

function nothingYet() {
  results.clear();
  $("summary").textContent = "";
  $("more").hidden = true;
  nothing("No garment found", "The picture shows nothing that was recognized as a garment. You can still search: draw a box around what you mean.",
    h("button", { class: "button primary", type: "button", onclick: () => { stage.draw(true); $("stage").scrollIntoView({ block: "center" }); } }, "Draw a box"));
}

function nothing(title, text, ...tools) {
  $("nothing").replaceChildren(h("h3", {}, title), h("p", {}, text), ...tools);
  $("nothing").hidden = false;
}

/** Shows what went wrong and what can be done; null: nothing. */
function fault(error) {
  const banner = $("banner");
  banner.hidden = !error;
  if (!error) return;
  console.info("clothret:", error);
  $("summary").textContent = "";
  $("nothing").hidden = true;
  $("more").hidden = true;
  const retry = error.status === 0 || error.status === 429 || error.status >= 500;
  banner.replaceChildren(h("span", {}, error.message), retry
    ? h("button", { class: "button", type: "button", onclick: () => location.reload() }, "Try again")
    : h("button", { class: "button", type: "button", onclick: () => $("file").click() }, "Choose another picture"));
}

function whereFault(message) {
  $("where-error").textContent = message;
  $("where").setAttribute("aria-invalid", String(Boolean(message)));
  $("grid").removeAttribute("aria-busy");
  if (message) $("expert").open = true;
}

const stream = debounce(() => search(), STREAM);

$("more").addEventListener("click", () => ask(more(query), "replace"));
$("copy").addEventListener("click", () => openCopy(query, facets.kinds, file?.name ?? "picture.jpg"));
$("clear").addEventListener("click", () => ask({ ...query, filters: {}, where: "" }, "push"));
$("where").addEventListener("input", debounce(() => ask({ ...query, where: $("where").value }, "replace"), 350));

// ── weights ───────────────────────────────────────────────────────────────────────────────────

for (const criterion of CRITERIA) {
  const input = h("input", {
    type: "range", id: `weight-${criterion}`, min: 0, max: 1, step: 0.05, value: 1,
    oninput: () => slide(criterion),
    onchange: () => window.history.pushState(null, "", toAddress(query)),
  });
  $("weights").append(h("div", { class: `weight ${criterion}` },
    h("label", { for: input.id }, label(criterion)), input, h("output", { for: input.id, id: `share-${criterion}` })));
}

/** A slider moves: the results follow. The last one above 0 cannot leave it. */
function slide(criterion) {
  const weights = { ...query.weights, [criterion]: Number($(`weight-${criterion}`).value) };
  if (!CRITERIA.some((name) => weights[name] > 0)) {
    weights[criterion] = 0.05;
    $(`weight-${criterion}`).value = 0.05;
  }
  query = { ...query, weights };
  CRITERIA.forEach(showWeight);
  window.history.replaceState(null, "", toAddress(query));
  stream();
}

function showWeight(criterion) {
  const total = CRITERIA.reduce((sum, name) => sum + query.weights[name], 0);
  const share = Math.round((100 * query.weights[criterion]) / total);
  $(`share-${criterion}`).textContent = `${share} %`;
  const input = $(`weight-${criterion}`);
  input.style.setProperty("--fill", `${100 * query.weights[criterion]}%`);
  input.setAttribute("aria-valuetext", `${share} percent of the score`);
}

$("even").addEventListener("click", () => ask({ ...query, weights: blank().weights }, "push"));

// ── catalog, facets, samples ──────────────────────────────────────────────────────────────────

const firstCatalog = () => catalogs.find(({ generation }) => generation)?.name ?? null;

async function loadCatalog() {
  const found = await get("facets", { catalog: query.catalog });
  facets.load(found.facets);
  $("samples-block").hidden = true;
  showGeneration(found.generation);
}

async function countFacets(signal) {
  const where = whereOf(query, facets.kinds);
  try {
    const found = where ? await get("facets", { catalog: query.catalog, where }, { signal }) : { facets: facets.base };
    facets.count(found.facets, query.filters);
  } catch (error) {
    if (error.name !== "AbortError") console.info("clothret: counts not brought up to date:", error);
  }
}

async function showSamples() {
  if (!$("samples-block").hidden) return;
  const { samples } = await get("samples", { catalog: query.catalog, n: 8 });
  $("samples").replaceChildren(...samples.map((sample) => {
    const next = withGarment(query, sample.garment_id);
    return h("li", {}, h("a", {
      href: toAddress(next),
      onclick: (event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey) return;
        event.preventDefault();
        ask(withGarment(query, sample.garment_id), "push");
      },
    }, h("img", { src: imageUrl(query.catalog, sample.image_id, 384), alt: `${sample.title}: search for look-alikes`, loading: "lazy" })));
  }));
  $("samples-block").hidden = !samples.length;
}

function showGeneration(generation) {
  const known = catalogs.find(({ name }) => name === query.catalog);
  const when = known?.generation === generation && known.created ? new Date(known.created) : null;
  $("generation").textContent = `generation ${generation.split("-")[0].replace(/^0+(?=\d)/, "")}`;
  $("generation").title = [generation, when && `published ${when.toLocaleString()}`, known && `${known.items} items, ${known.garments} garments`].filter(Boolean).join(" · ");
  const run = known?.run_url;
  $("reindex").hidden = !run;
  if (run) $("reindex").href = run;
}

async function loadCatalogs() {
  const found = await get("catalogs");
  limits = found.limits ?? limits;
  catalogs = found.catalogs;
  $("catalog").replaceChildren(...catalogs.map(({ name, generation, items }) =>
    h("option", { value: name, disabled: !generation }, generation ? `${name} · ${items.toLocaleString("en")} items` : `${name} · not indexed yet`)));
  $("catalog").disabled = catalogs.length < 2;
  if (query.catalog) $("catalog").value = query.catalog;
}

$("catalog").addEventListener("change", () => ask(blank($("catalog").value), "push"));
$("home").addEventListener("click", (event) => {
  if (event.metaKey || event.ctrlKey) return;
  event.preventDefault();
  ask(blank(query.catalog), "push");
});

/** Looks for newer generations while the page is seen; results are brought up to date. */
async function poll() {
  if (document.hidden) return;
  const before = catalogs.find(({ name }) => name === query.catalog)?.generation;
  try {
    await loadCatalogs();
  } catch {
    return; // the next look, or the next search, tells
  }
  const now = catalogs.find(({ name }) => name === query.catalog)?.generation;
  if (!query.catalog || (now && now !== before)) {
    facets.base = [];
    if (asked(query) && now) toast("The catalog was brought up to date");
    await render(query);
  }
}
setInterval(poll, POLL);

// ── begin ─────────────────────────────────────────────────────────────────────────────────────

async function begin() {
  query = fromAddress(location.search);
  try {
    await loadCatalogs();
    await render();
  } catch (error) {
    $("work").hidden = false;
    fault(error);
  }
  document.documentElement.dataset.ready = "true";
  performance.mark("ready");
}

window.addEventListener("unhandledrejection", (event) => {
  if (event.reason?.name !== "AbortError") fault(event.reason);
});

begin();
