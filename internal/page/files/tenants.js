// The tenants whose names this node keeps.

import { byId, bytes, el, plain, plural, span } from "./dom.js";
import { state } from "./state.js";

const most = 50; // tenants that are shown

let last = "";

export function showTenants() {
  const all = [...state.tenants].sort((a, b) => (b.AtRisk ?? 0) - (a.AtRisk ?? 0) || names(b) - names(a));
  const rows = all.slice(0, most).map(row);
  if (all.length > most) rows.push(el("li", {}, el("span", { class: "note" }, `and ${plural(all.length - most, "tenant")} more: ipns host tenant list`)));
  const face = rows.map((r) => r.textContent).join("\n");
  byId("hosting").hidden = rows.length === 0;
  if (face === last) return;
  last = face;
  byId("tenants").replaceChildren(...rows);
}

const names = (t) => t.Names + t.Custodial;

function row(t) {
  const refused = Object.entries(t.Refused ?? {}).sort(([, a], [, b]) => b - a);
  const end = t.Soonest && (Date.parse(t.Soonest) - Date.now()) / 1000;
  return el("li", {},
    el("span", { class: "label" }, el("bdi", {}, plain(t.Tenant) || "this node")),
    el("span", {},
      `${plural(names(t), "name")}, ${bytes(t.Bytes)}`,
      t.PinnedBytes > 0 && `, ${bytes(t.PinnedBytes)} of content`,
      end && ` · ${end > 0 ? `the first ends in ${span(end)}` : `the first ended ${span(end)} ago`}`,
      ` · ${plural(t.Puts ?? 0, "put")} since the start`,
      refused.length > 0 && el("span", { class: "note" }, ` · refused: ${refused.map(([why, n]) => `${n.toLocaleString("en")} ${plain(why)}`).join(", ")}`)),
    t.AtRisk > 0 ? el("span", { class: "bad" }, `${plural(t.AtRisk, "name")} at risk`) : el("span", {}));
}
