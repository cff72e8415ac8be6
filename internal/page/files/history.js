// The past values of a name, and which of them this node can still serve.

import { call } from "./api.js";
import { ago, code, el, plain, shortPath, time } from "./dom.js";
import { rollbackDialog } from "./publish.js";

const shownAtFirst = 10; // values, of which each is looked for
const lookFor = "10s"; // how long one is

const words = { all: "all of it is here", part: "a part of it is here", none: "not here" };

// historyOf shows the history of a name in an element.
export async function historyOf(name, into, shown = shownAtFirst) {
  if (!into.firstChild) into.append(el("p", { class: "note", role: "status" }, "Reading the history…"));
  let entries;
  try {
    entries = (await call("name/log", [name])).Entries ?? [];
  } catch (error) {
    into.replaceChildren(el("p", { class: "error" }, plain(error.message)));
    return;
  }
  const current = entries.find((e) => e.Current)?.Value;
  const rows = entries.slice(0, shown).map((entry) => row(name, entry, current, entries.filter((e) => e.Sequence === entry.Sequence).length === 1));
  const list = el("ol", { class: "past", "aria-label": "Past values, newest first" }, ...rows.map((r) => r.item));
  const more = entries.length > shown && el("button", { type: "button", class: "button quiet", onclick: () => historyOf(name, into, entries.length) }, `Show all ${entries.length}`);
  into.replaceChildren(list, ...(more ? [more] : []));
  for (const r of rows) { // one after the other: each may read many blocks
    if (!r.item.isConnected) return;
    await r.look();
  }
}

// alone says that no other value had the sequence of the entry.
function row(name, entry, current, alone) {
  const at = new Date(entry.At);
  let here = "";
  const badge = el("span", { class: "badge" });
  const back = entry.Value !== current && el("button", { type: "button", class: "button quiet small", onclick: () => rollbackDialog(name, entry, here, alone) }, "Roll back",
    el("span", { class: "visually-hidden" }, ` to sequence ${entry.Sequence}`));
  return {
    item: el("li", { class: entry.Current ? "current" : "" },
      el("span", { class: "number" }, el("span", { class: "visually-hidden" }, "sequence "), String(entry.Sequence)),
      el("span", { class: "which" }, code(entry.Value, shortPath(entry.Value), `value ${entry.Sequence}`)),
      el("span", { class: "when" }, time(ago(at), at)),
      badge,
      entry.Current ? el("span", { class: "badge now" }, "current") : back || el("span", { class: "badge" }, "same value")),
    async look() {
      here = await whatIsHere(entry.Value);
      badge.textContent = words[here] ?? "";
      badge.className = here ? `badge ${here}` : "badge";
    },
  };
}

// whatIsHere looks for content without asking others.
async function whatIsHere(value) {
  if (!value.startsWith("/ipfs/")) return "";
  try {
    const { Local } = await call("files/stat", [value], { "with-local": true, offline: true, timeout: lookFor });
    return Local ? "all" : "part";
  } catch (error) {
    return error.kind === "failed" && !/deadline|no command|not found: /.test(error.message) ? "none" : "";
  }
}
