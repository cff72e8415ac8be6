// What the page knows of the node. It is read by way of the API, and whoever shows it is
// told when it has changed.

import { call, Failure } from "./api.js";
import { keep, keptAs } from "./store.js";

export const state = {
  names: new Map(), // by name: its status, as name/status has it
  keys: [], // of { Name, Id }
  tenants: [], // whose names are kept here, as host/tenant/list has them
  risks: null, // as republish/status has it; null: not known
  checks: new Map(), // by name: what others have of it, and when they were asked
  node: {}, // peers, reach, size, storage, gateway, version, self; what is not known is undefined
  troubles: new Map(), // by what was read: why it could not be
};

let told = () => {};

// onChange sets who is told.
export function onChange(f) {
  told = f;
}

const together = 30; // milliseconds in which changes are told once
let telling = 0;

export function changed() {
  telling ||= setTimeout(tell, together);
}

// tell tells at once.
export function tell() {
  clearTimeout(telling);
  telling = 0;
  told();
}

let labels = new Map(); // of the keys, by name

// hasKey reports whether the key of a name is in state.keys.
export const hasKey = (name) => labels.has(name);

// labelOf is the label of the key of a name; empty if the key is not here.
export const labelOf = (name) => labels.get(name) ?? state.names.get(name)?.Key ?? "";

// readAll reads everything. What cannot be read is noted in troubles, unless nothing can.
export async function readAll() {
  const { Version } = await call("version");
  state.node.version = Version;
  await Promise.all([readNames(), readKeys(), readTenants(), readRisks(), readNode()]);
  changed();
}

// attempt reads one part. A node that does not answer or wants a secret is an error of all.
async function attempt(what, read) {
  try {
    await read();
    state.troubles.delete(what);
  } catch (error) {
    if (!(error instanceof Failure) || error.kind === "away" || error.kind === "secret") throw error;
    state.troubles.set(what, error);
  }
}

export const readNames = () => attempt("names", async () => {
  const { Names } = await call("name/status", [], { local: true });
  state.names = new Map(Names.map((s) => [s.Name, s]));
});

// readName reads the status of one name.
export async function readName(name) {
  try {
    state.names.set(name, await call("name/status", [name], { local: true }));
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== "failed") throw error;
    state.names.delete(name); // nothing was published under it, or it was forgotten
  }
}

export const readKeys = () => attempt("keys", async () => {
  state.keys = (await call("key/ls")).Keys ?? [];
  labels = new Map(state.keys.map((k) => [k.Id, k.Name]));
});

export const readTenants = () => attempt("tenants", async () => {
  state.tenants = (await call("host/tenant/list")).Tenants ?? [];
});

export const readRisks = () => attempt("risks", async () => {
  state.risks = await call("republish/status");
});

export async function readNode() {
  const node = state.node;
  await attempt("system", async () => {
    const { net } = await call("diag/sys");
    [node.gateway, node.online] = [net.gateway, net.online];
  });
  const seen = { peers: undefined, reach: undefined };
  await Promise.all([
    node.online !== false && attempt("peers", async () => {
      seen.peers = ((await call("swarm/peers")).Peers ?? []).length;
    }),
    node.online !== false && attempt("reach", async () => {
      seen.reach = (await call("swarm/addrs/autonat")).reachability;
    }),
    attempt("cluster", async () => {
      node.cluster = await call("cluster/status");
    }),
    attempt("size", async () => {
      const { RepoSize, StorageMax } = await call("repo/stat", [], { "size-only": true });
      [node.size, node.storage] = [RepoSize, StorageMax];
    }),
  ]);
  Object.assign(node, seen);
}

const keptChecks = "ipns.checks";
const maxChecks = 500; // that are kept while the tab is open

// check asks others what they have of a name, which the node learns from.
export async function check(name) {
  const status = await call("name/status", [name]);
  const held = status.Network ?? null;
  delete status.Network;
  state.names.set(name, status);
  state.checks.delete(name); // the oldest come first
  state.checks.set(name, { at: Date.now(), held, sequence: status.Sequence });
  keepChecks();
  changed();
}

function keepChecks() {
  while (state.checks.size > maxChecks) state.checks.delete(state.checks.keys().next().value);
  keep(keptChecks, JSON.stringify([...state.checks]));
}

try {
  state.checks = new Map(JSON.parse(keptAs(keptChecks) || "[]"));
} catch {
  keep(keptChecks, "");
}

// siteOf is where the gateway shows a name; empty if there is no gateway.
export function siteOf(name) {
  if (!state.node.gateway) return "";
  const gateway = new URL(state.node.gateway);
  const local = (host) => /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(host);
  if (local(gateway.hostname) && local(location.hostname)) return `http://${name}.ipns.localhost:${gateway.port || 80}/`;
  const host = local(gateway.hostname) ? location.hostname : gateway.hostname;
  return `http://${host}:${gateway.port || 80}/ipns/${name}/`;
}
