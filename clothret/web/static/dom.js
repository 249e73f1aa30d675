/** Small helpers for building the page. */

export const $ = (id) => document.getElementById(id);

const SVG = "http://www.w3.org/2000/svg";

/** An element with properties, `data-*`, `aria-*` and event listeners (`onclick`), and children. */
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** The same in SVG. */
export function s(tag, props = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.entries(value).forEach(([k, v]) => element.style.setProperty(k, v));
    else element.setAttribute(name === "className" ? "class" : name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Calls the latest `work` once `ms` have passed without another call. */
export function debounce(work, ms) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(work, ms, ...args);
  };
}

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });

/** A metadata value for people. */
export function words(value) {
  if (value === null || value === undefined) return "–";
  if (value === true) return "yes";
  if (value === false) return "no";
  if (typeof value === "number") return NUMBER.format(value);
  if (Array.isArray(value)) return value.map(words).join(", ");
  if (typeof value === "object") return JSON.stringify(value);
  return String(value);
}

/** A column's name for people: `in_stock` → `In stock`. */
export function label(column) {
  const text = column.replace(/[_-]+/g, " ").trim();
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A score in [0, 1] with two digits. */
export const score = (value) => value.toFixed(2);

/** An SVG path of polygons given as x, y, x, y… */
export function pathOf(polygons) {
  return polygons
    .map((flat) => {
      const points = [];
      for (let i = 0; i < flat.length; i += 2) points.push(`${flat[i]} ${flat[i + 1]}`);
      return `M${points.join("L")}Z`;
    })
    .join("");
}

/** A short message at the foot of the page, read out by screen readers. */
export function toast(message) {
  const box = $("toast");
  box.textContent = message;
  box.hidden = false;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => (box.hidden = true), 4000);
}

/** Opens a modal dialog that a click outside or Escape closes. */
export function openDialog(dialog, ...content) {
  dialog.replaceChildren(...content);
  dialog.onclick = (event) => event.target === dialog && dialog.close();
  if (!dialog.open) dialog.showModal();
}

/** The head of a dialog: its title and a button that closes it. */
export function dialogHead(id, title, dialog) {
  return h("div", { class: "dialog-head" },
    h("h2", { id }, title),
    h("button", { class: "button quiet close", type: "button", "aria-label": "Close", onclick: () => dialog.close() }, "×"));
}
