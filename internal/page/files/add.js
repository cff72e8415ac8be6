// Adding a folder or files, by choosing or by dropping them, and publishing what was added.

import { call, upload } from "./api.js";
import { announce, Dialog, field } from "./dialog.js";
import { byId, bytes, code, el, plain, plural, short, shortPath } from "./dom.js";
import { changed, readKeys, readName, state } from "./state.js";
import { visit } from "./publish.js";

const folderType = "application/x-directory";
const maxDepth = 64; // folders in folders that are read

byId("folder").addEventListener("change", chosen);
byId("files").addEventListener("change", chosen);

function chosen(event) {
  const input = event.target;
  const list = [...input.files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
  input.value = ""; // the same folder can be chosen again
  if (list.length > 0) addDialog(list);
}

let depth = 0; // of the elements that a drag has entered

const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");

function over(on) {
  byId("drop").classList.toggle("over", on);
}

addEventListener("dragenter", (e) => { if (hasFiles(e)) { depth++; over(true); } });
addEventListener("dragleave", (e) => { if (hasFiles(e)) { depth = Math.max(0, depth - 1); over(depth > 0); } });
addEventListener("dragover", (e) => { if (hasFiles(e)) e.preventDefault(); });
addEventListener("drop", async (e) => {
  if (!hasFiles(e)) return;
  e.preventDefault(); // the browser would open the file
  depth = 0;
  over(false);
  if (byId("content").hidden || document.querySelector("dialog[open]")) return;
  // Entries are to be had only now.
  const dropped = [...e.dataTransfer.items].filter((i) => i.kind === "file").map((i) => ({ entry: i.webkitGetAsEntry(), file: i.getAsFile() }));
  try {
    const list = [];
    for (const { entry, file } of dropped) {
      if (entry) await walk(entry, list, 0);
      else if (file) list.push({ path: file.name, file });
    }
    if (list.length > 0) addDialog(list);
  } catch (error) {
    new Dialog("That cannot be read", [el("p", {}, plain(error.message))], "Close", async () => {}).open();
  }
});

// walk lists what is dropped: a folder, then what is in it.
async function walk(entry, list, level) {
  const path = entry.fullPath.replace(/^\//, "");
  if (level > maxDepth) throw new Error(`${path}: more than ${maxDepth} folders lie in each other`);
  if (entry.isFile) {
    list.push({ path, file: await new Promise((resolve, reject) => entry.file(resolve, reject)) });
    return;
  }
  list.push({ path, file: new File([], path, { type: folderType }) });
  const reader = entry.createReader();
  for (;;) { // it gives a hundred at a time
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return;
    for (const e of some) await walk(e, list, level + 1);
  }
}

const isHidden = ({ path }) => path.split("/").slice(1).some((p) => p.startsWith(".") && p !== ".well-known");

// nameOf is the name for a choice of addDialog; nothing if there is none yet.
const nameOf = (choice) => state.keys.find((k) => `key:${k.Name}` === choice)?.Id;

// addDialog asks what is to become of a list of files, and does it.
function addDialog(list) {
  const roots = new Set(list.map(({ path }) => path.split("/")[0]));
  const one = roots.size === 1 && list.some(({ path, file }) => path.includes("/") || file.type === folderType);
  const dotted = list.filter(isHidden).length;
  const hidden = el("input", { type: "checkbox", id: "add-hidden" });
  const size = list.reduce((n, { file }) => n + file.size, 0);
  const count = list.filter(({ file }) => file.type !== folderType).length;
  const target = el("select", {},
    ...state.keys.filter((k) => k.Id).map((k) => el("option", { value: `key:${k.Name}` }, plain(k.Name) + (state.names.has(k.Id) ? "" : " (has no value yet)"))),
    el("option", { value: "new" }, "A new key…"), el("option", { value: "" }, "No name: only add it"));
  const label = el("input", { type: "text", autocomplete: "off", spellcheck: "false", maxlength: 200 });
  const newField = field("Label of the new key", label);
  let name = "", replaces = null; // what is chosen, and what it leads to, as the dialog shows it
  const replaced = el("p", { class: "note", role: "status" });
  const choose = () => {
    name = nameOf(target.value);
    replaces = state.names.get(name);
    replaced.textContent = replaces?.Value ? `It replaces ${shortPath(replaces.Value)}, which stays in the history.` : "";
    newField.hidden = label.disabled = target.value !== "new";
    label.required = !newField.hidden;
    dialog.main.textContent = target.value ? "Add and publish" : "Add";
  };
  target.addEventListener("change", choose);
  const dialog = new Dialog(one ? `Add the folder ${plain([...roots][0])}` : `Add ${plural(count, "file")}`, [
    el("p", {}, `${plural(count, "file")}, ${bytes(size)}${one ? "" : ", in a new folder"}.`),
    dotted > 0 && el("p", { class: "check" }, hidden, el("label", { for: "add-hidden" }, `Also add the ${plural(dotted, "hidden file")}, which may have secrets`)),
    field("Publish it as", target),
    replaced,
    newField,
  ].filter(Boolean), "Add and publish", async (d, signal) => {
    const files = hidden.checked ? list : list.filter((f) => !isHidden(f));
    const root = await send(d, files, one, signal);
    const rest = [el("p", { role: "status" }, `Added ${plural(files.filter(({ file }) => file.type !== folderType).length, "file")}.`), el("p", {}, code(root, short(root, 16, 12), "the CID"))];
    if (!target.value) return rest;
    return publish(d, root, target.value === "new" ? { make: label.value.trim() } : { name, old: replaces }, rest, signal);
  });
  choose();
  dialog.open();
}

// send uploads the files, and returns the CID of the root.
async function send(dialog, files, one, signal) {
  const form = new FormData();
  for (const { path, file } of files) form.append("file", file, path.split("/").map(encodeURIComponent).join("/"));
  const bar = el("progress", { max: 1, value: 0, "aria-label": "Upload" });
  const says = el("p", {}, "Sending…"); // a reader of the screen hears the bar
  dialog.progress.replaceChildren(says, bar);
  const root = await upload("add", { "cid-version": 1, pin: true, "wrap-with-directory": !one }, form, (sent, all) => {
    bar.value = all > 0 ? sent / all : 1;
    bar.textContent = `${bytes(sent)} of ${bytes(all)}`;
    says.textContent = sent < all ? `Sending: ${bytes(sent)} of ${bytes(all)}` : "Sent. The node stores it…";
  }, signal);
  return root.Hash;
}

// publish points a name to what was added. If that fails, what was added stays, and the
// dialog says so.
async function publish(dialog, root, { make, name, old }, rest, signal) {
  try {
    if (make) name = (await call("key/gen", [make], {}, signal)).Id;
    const options = { key: name };
    if (Number.isSafeInteger(old?.Sequence)) options["if-sequence"] = old.Sequence; // that which the dialog named is replaced, and no other
    return [...rest, ...await announce(dialog, "name/publish", [`/ipfs/${root}`], options, signal), visit(name)].filter(Boolean);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return [...rest, el("p", { class: "error", role: "alert" }, `It was added, but not published: ${plain(error.message)}`)];
  } finally {
    Promise.allSettled([name && readName(name), readKeys()]).then(changed);
  }
}
