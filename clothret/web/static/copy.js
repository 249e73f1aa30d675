/** The query as a command and as curl, to take elsewhere. */

import { $, dialogHead, h, openDialog, toast } from "./dom.js";
import { toCommand, toCurl } from "./query.js";

export function openCopy(query, kinds, file) {
  const dialog = $("copy-dialog");
  openDialog(dialog, dialogHead("copy-title", "This query, elsewhere", dialog),
    block("On the command line", toCommand(query, kinds, file)),
    block("Over HTTP", toCurl(query, kinds, file, location.origin)),
    block("As an address", location.href));
}

function block(name, text) {
  return h("div", { class: "copy-block" },
    h("div", { class: "card-head" }, h("h3", {}, name),
      h("button", { class: "button quiet", type: "button", "aria-label": `Copy: ${name}`, onclick: () => copy(text) }, "Copy")),
    h("pre", { tabindex: 0 }, h("code", {}, text)));
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied");
  } catch {
    toast("The browser does not allow copying here: select the text instead");
  }
}
