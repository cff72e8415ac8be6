// The list of names: of each its ring, its dots, and what can be done with it.

import { ago, byId, code, el, plain, plural, say, short, shortPath, span, time } from "./dom.js";
import { dots, ring } from "./shapes.js";
import { check, labelOf, siteOf, state } from "./state.js";
import { historyOf } from "./history.js";
import { publishDialog } from "./publish.js";

const pageSize = 50; // cards that are shown at first, and that "Show more" adds

const cards = new Map(); // by name
let shown = pageSize;

byId("filter").addEventListener("input", () => { shown = pageSize; showNames(); });
byId("more").querySelector("button").addEventListener("click", () => { shown += pageSize; showNames(); });

// order puts self first, then names with a key here by its label, then others.
function order(a, b) {
  const rank = (s) => (labelOf(s.Name) === "self" ? 0 : labelOf(s.Name) ? 1 : 2);
  return rank(a) - rank(b) || labelOf(a.Name).localeCompare(labelOf(b.Name)) || a.Name.localeCompare(b.Name);
}

export function showNames() {
  const all = [...state.names.values()].sort(order);
  const wanted = byId("filter").value.trim().toLowerCase();
  const found = all.filter((s) => !wanted || [labelOf(s.Name), s.Name, s.Value ?? ""].some((t) => t.toLowerCase().includes(wanted)));
  byId("count").textContent = all.length > 1 ? all.length.toLocaleString("en") : "";
  byId("search").hidden = all.length < 6;
  byId("empty").hidden = all.length > 0 || state.troubles.has("names");
  const list = byId("names");
  const visible = found.slice(0, shown);
  for (const [name, card] of cards) {
    if (!visible.some((s) => s.Name === name)) {
      card.item.remove();
      cards.delete(name);
    }
  }
  visible.forEach((status, i) => {
    let card = cards.get(status.Name);
    if (!card) cards.set(status.Name, card = new Card(status.Name));
    card.show(status);
    if (list.children[i] !== card.item) list.insertBefore(card.item, list.children[i] ?? null);
  });
  byId("more").hidden = found.length <= visible.length;
  byId("more").querySelector("span").textContent = `${visible.length} of ${found.length.toLocaleString("en")} are shown.`;
}

// A Card shows one name. Its buttons stay when it is shown anew, so that the focus does.
class Card {
  constructor(name) {
    this.name = name;
    const id = `name-${name}`;
    this.ring = el("div", { class: "ring" });
    this.title = el("h3", { id });
    this.address = el("p", { class: "address" });
    this.target = el("p", { class: "target" });
    this.holders = el("div", { class: "holders" });
    this.facts = el("ul", { class: "facts" });
    this.publish = this.button("Publish…", "", () => publishDialog(name));
    this.past = this.button("History", "quiet", () => this.toggle());
    this.past.setAttribute("aria-expanded", "false");
    this.ask = this.button("Check now", "quiet", () => this.check());
    this.site = el("a", { class: "button quiet", target: "_blank", rel: "noopener noreferrer", hidden: true }, "Open site");
    this.history = el("div", { class: "history", hidden: true, id: `history-${name}` });
    this.past.setAttribute("aria-controls", this.history.id);
    this.item = el("li", { class: "card" },
      el("article", { "aria-labelledby": id },
        this.ring,
        el("div", { class: "what" }, this.title, this.address, this.target),
        this.holders,
        this.facts,
        el("p", { class: "row actions" }, this.publish, this.past, this.ask, this.site),
        this.history));
  }

  button(text, kind, act) {
    return el("button", { type: "button", class: `button ${kind}`, "aria-describedby": `name-${this.name}`, onclick: act }, text);
  }

  show(status) {
    const label = labelOf(status.Name);
    // Only what has changed is touched: a copy button that has the focus keeps it.
    const face = JSON.stringify([label, status, state.checks.get(this.name), siteOf(this.name), Math.floor(Date.now() / 20_000)]);
    if (face === this.face) return;
    const renamed = this.label !== label;
    const moved = this.status && (this.status.Value !== status.Value || this.status.Sequence !== status.Sequence);
    this.face = face;
    if (renamed || !this.status) {
      this.label = label;
      this.title.replaceChildren(label ? el("bdi", {}, plain(label)) : el("span", { class: "foreign" }, "Kept for others"));
      this.address.replaceChildren(code(status.Name, short(status.Name, 12, 10), `the name ${label}`));
    }
    if (!this.status || moved) {
      this.target.replaceChildren(
        el("span", { class: "arrow", "aria-hidden": "true" }, "→"), el("span", { class: "visually-hidden" }, "leads to "),
        status.Value ? code(status.Value, shortPath(status.Value), "the value") : el("span", { class: "bad" }, "what it led to cannot be read"),
        el("span", { class: "sequence" }, `sequence ${status.Sequence}`));
    }
    if (moved) {
      this.item.classList.remove("new");
      void this.item.offsetWidth; // so that the animation begins again
      this.item.classList.add("new");
      say(`${label || short(status.Name)} now leads to ${shortPath(status.Value)}, sequence ${status.Sequence}`);
      if (!this.history.hidden) historyOf(this.name, this.history);
    }
    this.status = status;
    this.ring.replaceChildren(ring(status));
    this.holders.replaceChildren(...holders(status));
    this.facts.replaceChildren(...facts(status, this.checking).map((f) => el("li", {}, ...[f].flat())));
    this.publish.hidden = !label;
    const site = siteOf(this.name);
    this.site.hidden = !site || !status.Value;
    if (site) this.site.href = site;
  }

  toggle() {
    this.history.hidden = !this.history.hidden;
    this.past.setAttribute("aria-expanded", String(!this.history.hidden));
    if (!this.history.hidden) historyOf(this.name, this.history);
  }

  async check() {
    this.ask.disabled = true;
    this.ask.textContent = "Checking…";
    try {
      await check(this.name);
      say(checked(this.name).text);
    } catch (error) {
      state.checks.set(this.name, { at: Date.now(), error: error.message });
      say(error.message);
    } finally {
      this.ask.disabled = false;
      this.ask.textContent = "Check now";
      if (document.activeElement === document.body) this.ask.focus(); // it lost the focus when it was disabled
      this.face = "";
      this.show(state.names.get(this.name) ?? this.status);
    }
  }
}

// holders shows who took the record when it was announced from here, or else who had it when
// others were asked.
function holders(status) {
  const last = state.checks.get(status.Name);
  if (!status.Of && last?.held?.Holders && last.held.Sequence === status.Sequence) {
    return dots(last.held.Holders, last.held.Answered, targets[last.held.Road ?? ""], "Seen at");
  }
  return dots(status.Announced, status.Of, road(status));
}

const targets = { "": "server", http: "router", pubsub: "peer" };

// road is the word for those who are counted.
function road(status) {
  const roads = (status.Networks ?? []).map((n) => n.Road ?? "");
  return targets[["", "http", "pubsub"].find((r) => roads.includes(r)) ?? ""];
}

// checked describes the last check of a name.
export function checked(name) {
  const last = state.checks.get(name);
  if (!last) return null;
  const { held, error } = last;
  if (error) return { bad: true, text: `The check failed: ${error}`, at: last.at };
  if (!held) return { bad: true, text: "There was no network to ask", at: last.at };
  const who = plural(held.Answered, targets[held.Road ?? ""]);
  const newest = held.Sequence != null && held.Sequence >= last.sequence;
  let text = newest ? `Seen at ${held.Holders} of ${who}` : `Not seen at any of ${who}`;
  if (held.Other) text += `; ${held.Other} have another value`;
  if (held.Older) text += `; ${held.Older} have an older record`;
  if (held.Error) text += `; ${held.Error}`;
  const now = state.names.get(name)?.Sequence;
  if (now != null && now !== last.sequence) text += `, when it had sequence ${last.sequence}`;
  return { bad: !newest || held.Other > 0, text, at: last.at };
}

function facts(status) {
  const list = [];
  if (status.LastAnnounced) list.push(["Announced ", time(ago(new Date(status.LastAnnounced)), new Date(status.LastAnnounced))]);
  if (status.LastError) list.push([el("span", { class: "bad" }, plain(status.LastError))]);
  if (status.NextAnnounce) {
    const next = new Date(status.NextAnnounce);
    list.push(next > Date.now() ? ["again in ", time(span((next - Date.now()) / 1000), next)] : ["due now"]);
  }
  const last = checked(status.Name);
  if (last) list.push([el("span", { class: last.bad ? "bad" : "" }, plain(last.text)), ", ", time(ago(new Date(last.at)), new Date(last.at))]);
  else list.push(["not checked from outside yet"]);
  if (status.Origin && status.Origin !== "own") list.push([status.Origin]);
  return list;
}
