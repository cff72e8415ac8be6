// The page: it joins its parts, and shows how it stands with the node.

import { isUnlocked, lock, unlock } from "./api.js";
import { byId, bytes, el, plain, plural, span } from "./dom.js";
import { Live } from "./live.js";
import { onChange, state } from "./state.js";
import { showKeys } from "./keys.js";
import { showNames } from "./names.js";
import { showTenants } from "./tenants.js";
import { networkNotice, showRisks } from "./risk.js";
import "./add.js";

const tick = 20_000; // milliseconds after which times are shown anew

let away = null; // an attempt to come: { at }, in milliseconds since 1970
let refused = "";

const live = new Live(connection);
onChange(show);
setInterval(show, tick);
setInterval(() => { if (away) showNotices(); }, 1000);
live.run();

// connection shows how the connection to the node is.
function connection(is, detail) {
  byId("link").dataset.state = is;
  byId("link-text").textContent = { live: "Live", away: "Not connected", secret: "Locked", refused: "Refused" }[is];
  away = is === "away" ? { at: Date.now() + detail } : null;
  refused = is === "refused" ? detail.message : "";
  const locked = is === "secret";
  const focus = locked && byId("login").hidden;
  byId("login").hidden = !locked;
  byId("reading").hidden = is !== "away" || !byId("content").hidden;
  if (is === "live") byId("content").hidden = false;
  if (locked) {
    byId("content").hidden = true;
    byId("figures").hidden = true;
    if (isUnlocked()) {
      lock();
      byId("login-error").textContent = "The secret that was kept is not accepted any more.";
    }
    if (focus) byId("secret").focus();
  }
  showNotices();
}

byId("login-form").addEventListener("submit", async (e) => {
  e.preventDefault();
  const secret = byId("secret");
  byId("login-error").textContent = "";
  try {
    await unlock(secret.value.trim(), byId("keep").checked);
    secret.value = "";
    live.retry();
    byId("main").focus();
  } catch (error) {
    byId("login-error").textContent = plain(error.message);
    secret.select();
  }
});

function show() {
  showRisks();
  showNames();
  showKeys();
  showTenants();
  showFigures();
  showNotices();
}

// daemons says how many daemons share the store, and which part of the names this one has.
function daemons(cluster) {
  if (!cluster || cluster.Alone) return "";
  const list = cluster.Daemons ?? [];
  const mine = list.find((d) => d.ID === cluster.Self)?.Sectors.length ?? 0;
  const missing = list.filter((d) => !d.Ready || d.Silent > cluster.LeaseTTL).length;
  return `${list.length}, ${mine} of 64 sectors here${missing ? `, ${missing} not ready` : ""}${cluster.Unheld ? `, ${cluster.Unheld} sectors without one` : ""}`;
}

function showFigures() {
  const { peers, reach, size, storage, cluster, version } = state.node;
  const all = [
    ["Peers", peers === undefined ? "" : peers.toLocaleString("en")],
    ["Daemons", daemons(cluster)],
    ["Reachable", { Public: "from everywhere", Private: "only through others", Unknown: "not known yet" }[reach] ?? ""],
    ["Repo", size === undefined ? "" : storage ? `${bytes(size)} of ${bytes(storage)}` : bytes(size)],
  ].filter(([, value]) => value);
  const figures = byId("figures");
  figures.hidden = all.length === 0;
  figures.replaceChildren(...all.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
  byId("version").textContent = version ? `ipns ${plain(version)}` : "ipns";
}

const parts = { names: "The names", keys: "The keys", risks: "What is at risk", watch: "Changes as they happen" };

let shown = "";

// showNotices shows what is wrong, with what to do.
function showNotices() {
  const list = [];
  if (away) {
    const seconds = Math.max(0, Math.ceil((away.at - Date.now()) / 1000));
    list.push(["bad", "The node does not answer", `What you see may be old. Trying again ${seconds > 0 ? `in ${span(seconds)}` : "now"}. If it was stopped, start it: ipns daemon`, "Try now"]);
  } else if (refused) {
    list.push(["bad", "The node refuses this page", refused]);
  } else if (byId("login").hidden) {
    const network = networkNotice();
    if (network) list.push(["warn", "No network", network]);
    for (const [what, error] of state.troubles) {
      if (parts[what]) list.push(["warn", `${parts[what]} cannot be read`, error.message]);
    }
  }
  const face = JSON.stringify(list);
  if (face === shown) return;
  const before = shown;
  shown = face;
  const box = byId("notices");
  // Only the seconds have changed: the button keeps its focus, and nothing is read aloud again.
  if (away && before.includes("Try now") && box.children.length === list.length) {
    box.querySelector("p").textContent = plain(list[0][2]);
    return;
  }
  box.replaceChildren(...list.map(([kind, title, text, action]) => el("section", { class: `notice ${kind}`, "aria-label": title },
    el("div", { role: "status" }, el("h2", {}, title)), el("p", {}, plain(text)),
    action && el("button", { type: "button", class: "button small", onclick: () => live.retry() }, action))));
}
