// The list of keys.

import { byId, code, el, plain, short } from "./dom.js";
import { state } from "./state.js";
import { keyDialog, publishDialog, removeDialog, renameDialog } from "./publish.js";

byId("new-key").addEventListener("click", keyDialog);

let last = "";

export function showKeys() {
  const face = JSON.stringify([state.keys, state.keys.map((k) => state.names.has(k.Id))]);
  if (face === last) return;
  last = face;
  const list = byId("keys");
  const focused = list.contains(document.activeElement) ? [...list.querySelectorAll("button")].indexOf(document.activeElement) : -1;
  list.replaceChildren(...state.keys.map(row));
  if (focused >= 0) list.querySelectorAll("button")[focused]?.focus();
}

function row(key, i) {
  const label = plain(key.Name), id = `key-${i}`;
  const button = (text, act) => el("button", { type: "button", class: "button quiet small", "aria-describedby": id, onclick: act }, text);
  const own = key.Name === "self";
  return el("li", {},
    el("span", { class: "label", id }, el("bdi", {}, label), own && el("span", { class: "note" }, " of this node")),
    key.Id ? code(key.Id, short(key.Id, 12, 10), `the name of ${label}`) : el("span", { class: "bad" }, "this key cannot be read"),
    el("span", { class: "row" },
      key.Id && !state.names.has(key.Id) && button("Publish…", () => publishDialog(key.Id)),
      !own && button("Rename…", () => renameDialog(key)),
      !own && button("Remove…", () => removeDialog(key))));
}
