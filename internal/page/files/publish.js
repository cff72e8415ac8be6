// Publishing a name, and what else is done to one by way of a dialog.

import { call } from "./api.js";
import { announce, Dialog, field } from "./dialog.js";
import { byId, code, el, plain, shortPath, time, ago } from "./dom.js";
import { changed, labelOf, readKeys, readName, readRisks, siteOf, state, tell } from "./state.js";

// refresh reads what a publish has changed, in case that no event comes.
async function refresh(name) {
  await Promise.allSettled([readName(name), readRisks(), readKeys()]);
  changed();
}

const from = (status) => el("dl", { class: "change" },
  el("dt", {}, "Leads to now"), el("dd", {}, status?.Value ? code(status.Value, shortPath(status.Value), "the value") : "nothing yet"));

// visit is a link to the site of a name.
export function visit(name) {
  const site = siteOf(name);
  return site && el("p", {}, el("a", { href: site, target: "_blank", rel: "noopener noreferrer", class: "button quiet" }, "Open site"));
}

// publishDialog publishes a path under a name whose key is here. value is proposed.
export function publishDialog(name, value = "") {
  const status = state.names.get(name);
  const again = value !== "" && value === status?.Value;
  const path = el("input", { type: "text", required: true, value: plain(value), placeholder: "/ipfs/bafy… or a CID", autocomplete: "off", spellcheck: "false", class: "mono", readonly: again });
  const lifetime = el("input", { type: "text", placeholder: "48h", autocomplete: "off", pattern: "\\s*([0-9.]+(ns|us|µs|ms|s|m|h|d))+\\s*" });
  const ttl = el("input", { type: "text", placeholder: "5m", autocomplete: "off", pattern: lifetime.pattern });
  new Dialog(again ? `Publish ${title(name)} again` : `Publish ${title(name)}`, [
    from(status),
    field("Leads to", path, again ? "The value stays; the record becomes valid for a whole lifetime again." : "A CID, or a path below /ipfs/ or /ipns/."),
    el("details", {}, el("summary", {}, "How long it is valid"),
      field("Lifetime", lifetime, "The node renews the record in time, as long as it runs."),
      field("TTL", ttl, "How long others may show an old value before they ask again.")),
  ], "Publish", async (dialog, signal) => {
    const options = { key: name };
    if (lifetime.value.trim()) options.lifetime = lifetime.value.trim();
    if (ttl.value.trim()) options.ttl = ttl.value.trim();
    if (Number.isSafeInteger(status?.Sequence)) options["if-sequence"] = status.Sequence; // what others publish meanwhile is not replaced unseen
    return published(dialog, name, "name/publish", [again ? value : path.value.trim()], options, signal);
  }).open();
}

// published runs what publishes a name, to its end.
async function published(dialog, name, command, args, options, signal) {
  try {
    return [...await announce(dialog, command, args, options, signal), visit(name)].filter(Boolean);
  } finally {
    refresh(name);
  }
}

const title = (name) => plain(labelOf(name) || name);

// rollbackDialog publishes a past value again. here says whether its content is here:
// "all", "part", "none" or "" if that is not known; alone whether its sequence is that of no
// other value.
export function rollbackDialog(name, entry, here, alone) {
  const status = state.names.get(name);
  const at = new Date(entry.At);
  const says = {
    all: "All of its content is on this node.",
    part: "Only a part of its content is on this node. Unless others have the rest, nobody can see it.",
    none: "Its content is not on this node. Unless others still have it, nobody can see it.",
  }[here];
  const force = el("input", { type: "checkbox", id: "rollback-force" });
  const to = alone && Number.isSafeInteger(entry.Sequence) ? String(entry.Sequence) : entry.Value;
  new Dialog(`Roll ${title(name)} back`, [
    from(status),
    el("dl", { class: "change" }, el("dt", {}, "Would lead to"), el("dd", {}, code(entry.Value, shortPath(entry.Value), "the past value")),
      el("dt", {}, "Had that"), el("dd", {}, "as sequence ", String(entry.Sequence), ", from ", time(ago(at), at))),
    says && el("p", { class: here === "all" ? "" : "warning" }, says),
    here !== "all" && entry.Value.startsWith("/ipfs/") && el("p", { class: "check" }, force, el("label", { for: "rollback-force" }, "Publish it even if not all of its content is here")),
    el("p", {}, `The past value is published again, as sequence ${status.Sequence + 1}. Nothing is lost: the value of now stays in the history.`),
  ].filter(Boolean), "Roll back", (dialog, signal) => {
    const options = force.checked ? { force: true } : {};
    if (Number.isSafeInteger(status.Sequence)) options["if-sequence"] = status.Sequence;
    return published(dialog, name, "name/rollback", [name, to], options, signal);
  }).open();
}

// keyDialog makes a key, and with it a name.
export function keyDialog() {
  const label = el("input", { type: "text", required: true, autocomplete: "off", spellcheck: "false", maxlength: 200 });
  new Dialog("New key", [
    field("Label", label, "What the key is called on this node, such as blog. Its name is made with it and never changes."),
  ], "Make key", async () => {
    await call("key/gen", [label.value.trim()]);
    await refreshKeys();
  }).open();
}

export function renameDialog(key) {
  const label = el("input", { type: "text", required: true, autocomplete: "off", spellcheck: "false", value: key.Name, maxlength: 200 });
  new Dialog("Rename a key", [field("Label", label, "The name that belongs to the key stays as it is.")], "Rename", async () => {
    await mustStay(key);
    await call("key/rename", [key.Name, label.value.trim()]);
    await refreshKeys();
  }).open(byId("new-key"));
}

export function removeDialog(key) {
  const status = state.names.get(key.Id);
  const typed = el("input", { type: "text", autocomplete: "off", spellcheck: "false" });
  const dialog = new Dialog("Remove a key", [
    el("p", {}, "This deletes the key ", el("strong", {}, el("bdi", {}, plain(key.Name))), " from this node. Without a copy of it, nobody can ever publish under this name again:"),
    el("p", {}, code(key.Id, key.Id, "the name")),
    status && el("p", { class: "warning" }, `The name leads to content now. Its record ends on ${new Date(status.EOL).toLocaleString()}, and nobody can renew it then.`),
    el("p", { class: "note" }, "To keep a copy first: ", el("code", {}, `ipns key export ${plain(key.Name)}`)),
    field("Type the label of the key to remove it", typed),
  ].filter(Boolean), "Remove for ever", async () => {
    await mustStay(key);
    await call("key/rm", [key.Name]);
    await refreshKeys();
  });
  dialog.main.classList.add("danger");
  dialog.allow(false);
  typed.addEventListener("input", () => dialog.allow(typed.value === key.Name));
  dialog.open(byId("new-key"));
}

// mustStay throws if the label of a key is no longer its own.
async function mustStay({ Id, Name }) {
  await readKeys();
  if (!state.keys.some((k) => k.Name === Name && k.Id === Id)) throw new Error(`${Name} is no longer the label of this key: look at the keys again`);
}

async function refreshKeys() {
  await readKeys();
  tell(); // before the dialog closes: what had the focus may be gone
}
