// Elements, and how values become text. Whatever a value says, it is only ever text.

const svgSpace = "http://www.w3.org/2000/svg";

// el makes an element. Attributes that are null or false are left out; those that begin
// with "on" are listeners.
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(svgSpace, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) {
      element.addEventListener(name.slice(2), value);
    } else if (value != null && value !== false) {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...children.filter((c) => c != null && c !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

// unseen matches what a reader does not see or what changes the order of what is shown:
// controls, marks of direction, separators of lines, and characters without width.
const unseen = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

// plain is a text from elsewhere as it may be shown.
export function plain(text) {
  return String(text ?? "").replace(unseen, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

// short leaves out the middle of a long text; what is left tells names and CIDs apart.
export function short(text, head = 10, tail = 8) {
  const all = Array.from(plain(text));
  return all.length <= head + tail + 1 ? all.join("") : `${all.slice(0, head).join("")}…${all.slice(-tail).join("")}`;
}

// shortPath leaves out the middle of the CID or name in a path.
export function shortPath(path) {
  const [, kind, root, rest] = /^(\/ip[fn]s\/)([^/]*)(.*)$/s.exec(path) ?? [];
  return root === undefined ? short(path, 24, 12) : kind + short(root, 8, 7) + short(rest, 20, 12);
}

// code shows a value that people copy, as it is shown: a terminal obeys controls in what is
// pasted. label says what it is.
export function code(value, shown, label) {
  const copy = el("button", { type: "button", class: "copy", "aria-label": `Copy ${plain(label)}`, title: "Copy" }, copyIcon());
  copy.addEventListener("click", () => copyText(copy, plain(value), label));
  return el("span", { class: "value" }, el("code", { title: plain(value), dir: "ltr" }, shown), copy);
}

function copyIcon() {
  return svg("svg", { viewBox: "0 0 16 16", width: 14, height: 14, "aria-hidden": "true" },
    svg("rect", { x: 5.5, y: 5.5, width: 8, height: 8, rx: 1.5, fill: "none", stroke: "currentColor" }),
    svg("path", { d: "M10.5 3.5v-.2a.8.8 0 0 0-.8-.8H3.3a.8.8 0 0 0-.8.8v6.4c0 .4.4.8.8.8h.2", fill: "none", stroke: "currentColor" }));
}

const copiedFor = 1500; // milliseconds that a button says so

async function copyText(button, value, label) {
  try {
    await navigator.clipboard.writeText(value);
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), copiedFor);
    say(`Copied ${plain(label)}`);
  } catch {
    say("The browser does not allow copying here");
  }
}

// say tells a screen reader what has happened.
export function say(text) {
  byId("said").textContent = plain(text);
}

// Units of time, with how many of each there must be for it to be used.
const units = [["day", 86400, 3], ["hour", 3600, 2], ["minute", 60, 2], ["second", 1, 0]];

// span is a time in one unit.
export function span(seconds) {
  const s = Math.abs(Math.round(seconds));
  const [unit, size] = units.find(([, size, least]) => s >= least * size);
  const n = Math.floor(s / size);
  return `${n} ${unit}${n === 1 ? "" : "s"}`;
}

export function ago(date) {
  const s = (Date.now() - date) / 1000;
  return s < 5 ? "just now" : `${span(s)} ago`;
}

// time shows how long ago something was or how far it is; the title has the exact time.
export function time(text, date) {
  return el("time", { datetime: date.toISOString(), title: date.toLocaleString() }, text);
}

const sizes = ["bytes", "kB", "MB", "GB", "TB"];

export function bytes(n) {
  let i = 0;
  for (; n >= 1000 && i < sizes.length - 1; i++) n /= 1000;
  return `${i === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${sizes[i]}`;
}

export const plural = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
