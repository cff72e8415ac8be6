// The ring of a record's lifetime, and the dots of those who hold it.

import { el, plural, span, svg } from "./dom.js";

const usualLifetime = 48 * 3600; // seconds, where a record does not say
const maxDots = 40;

// ring shows how much of its lifetime a record has left.
export function ring(status) {
  const whole = status.Lifetime ? status.Lifetime / 1e9 : usualLifetime;
  const left = (Date.parse(status.EOL) - Date.now()) / 1000;
  const share = Math.max(0, Math.min(1, left / whole));
  const state = status.Damaged ? "bad" : left <= 0 ? "bad" : share < 0.25 ? "low" : "good";
  const around = 2 * Math.PI * 26;
  const [number, unit] = span(left).split(" ");
  const says = status.Damaged ? "The stored record is damaged" : left <= 0 ? `Expired ${span(left)} ago` : `Valid for ${span(left)} more`;
  return svg("svg", { viewBox: "0 0 64 64", role: "img", "aria-label": says, class: state },
    svg("title", {}, `${says}: until ${new Date(status.EOL).toLocaleString()}`),
    svg("circle", { cx: 32, cy: 32, r: 26, class: "track" }),
    share > 0 && svg("circle", { cx: 32, cy: 32, r: 26, class: "left", "stroke-dasharray": `${(share * around).toFixed(1)} ${around.toFixed(1)}`, transform: "rotate(-90 32 32)" }),
    svg("text", { x: 32, y: 35, class: "big", "aria-hidden": "true" }, left <= 0 ? "0" : number),
    svg("text", { x: 32, y: 46, class: "small", "aria-hidden": "true" }, left <= 0 ? "expired" : unit));
}

// dots shows who took a record, of those that should have it.
export function dots(took, of, word = "server", what = "Announced to") {
  if (!of) return [el("p", { class: "took" }, "not announced yet")];
  const says = `${what} ${took} of ${plural(of, word)}`;
  const length = Math.min(of, maxDots);
  const all = Array.from({ length }, (_, i) => el("i", { class: i * of < took * length ? "on" : "" }));
  return [el("div", { class: "dots", role: "img", "aria-label": says, title: says }, ...all), el("p", { class: "took", "aria-hidden": "true" }, `${took} of ${plural(of, word)}`)];
}
