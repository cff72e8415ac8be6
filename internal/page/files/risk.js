// What is at risk: why, and what to do.

import { byId, el, plain, short, span } from "./dom.js";
import { labelOf, state } from "./state.js";
import { publishDialog } from "./publish.js";

const maxShown = 20;

// advice is what to do for a reason of republish/status.
const advice = [
  [/^expired/, "Others do not find it any more.", "Publish it again: its value stays.", "Only its owner can sign a new record."],
  [/^it is not renewed: .*this clock is/, "The clock of this machine is not that of the network.", "Set the clock; then publish it again."],
  [/^it is not renewed/, "Its key did not sign a new record.", "See that the key is here, unlocked, and that what holds it answers. The node tries again by itself."],
  [/^less than a quarter/, "Its record ends soon.", "The node renews it by itself; to be sure, publish it again now.", "Ask its owner for a new record: it cannot be renewed without the key."],
  [/^it is not announced/, "The node cannot tell which sequence is the newest.", "See that it reaches the network; it asks by itself."],
  [/^(nobody|too few)/, "If its holders go, nobody finds it.", "See that this node reaches the network. It tries again by itself; publishing it again tries now."],
];

function found() {
  const list = [];
  for (const a of state.risks?.AtRisk ?? []) {
    const now = state.names.get(a.Name);
    if (now && Date.parse(now.EOL) !== Date.parse(a.EOL)) continue; // it was about an earlier record
    const [, meaning, own, foreign] = advice.find(([reason]) => reason.test(a.Reason)) ?? [null, "", "Publish it again."];
    const mine = labelOf(a.Name) !== "";
    list.push({ name: a.Name, title: a.Reason, text: `${meaning} ${mine ? own : foreign ?? own}`.trim(), again: mine });
  }
  for (const s of state.names.values()) {
    if (s.Damaged) {
      list.push({ name: s.Name, title: "the stored record is damaged", text: "Stop the node and run: ipns repo verify --repair" });
    } else if (s.Rivals > 0) {
      list.push({ name: s.Name, title: "someone else signs with this key", text: `They published ${(s.RivalValues ?? []).map(plain).join(", ")} under the same sequence. Publishing again settles it; find out who has the key.`, again: labelOf(s.Name) !== "" });
    } else if (s.LastRival) {
      list.push({ name: s.Name, title: "someone else signs with this key", text: `They published ${plain(s.LastRival.Value)}. Find out who has the key: as long as both publish, the last one wins.` });
    }
  }
  return list;
}

let last = "";

export function showRisks() {
  const list = found();
  const face = JSON.stringify([list, list.map((r) => labelOf(r.name))]);
  if (face === last) return;
  last = face;
  byId("risk").hidden = list.length === 0;
  const focused = [...byId("risks").querySelectorAll("button")].indexOf(document.activeElement);
  const more = Math.max(list.length, state.risks?.AtRiskCount ?? 0) - maxShown;
  byId("risks").replaceChildren(...list.slice(0, maxShown).map(item), ...(more > 0 ? [el("li", {}, `and ${more} more: ipns republish status --json lists them`)] : []));
  if (focused >= 0) byId("risks").querySelectorAll("button")[focused]?.focus();
}

function item(risk) {
  const label = labelOf(risk.name);
  const value = state.names.get(risk.name)?.Value;
  return el("li", {},
    el("div", {}, el("strong", {}, el("bdi", {}, label ? plain(label) : short(risk.name))), ": ", plain(risk.title), el("p", { class: "note" }, risk.text)),
    risk.again && value && el("button", { type: "button", class: "button small", onclick: () => publishDialog(risk.name, state.names.get(risk.name)?.Value) }, "Publish again…",
      el("span", { class: "visually-hidden" }, ` ${label ? plain(label) : short(risk.name)}`)));
}

// networkNotice says what is wrong with the network of the node; empty: nothing.
export function networkNotice() {
  const { peers, online } = state.node;
  const paused = state.risks?.PausedUntil;
  if (online === false) return "This node runs offline: names are stored here, and nobody is told. Start it without --offline to announce them.";
  if (paused) return `No server of the network answers. The node tries again in ${span((new Date(paused) - Date.now()) / 1000)}; until then nobody can be told of what you publish.`;
  if (peers === 0) return "This node is connected to nobody. What you publish is stored here, and announced once it has a network: see that this machine is online, and that Bootstrap in the config has peers.";
  return "";
}
