// Requests to the node that this page came from.

import { keep as keepAs, keptAs } from "./store.js";

const prefix = "/api/v0/";
const kept = "ipns.authorization";

// The header Authorization; empty: none. It is kept in memory, and in the storage of this
// tab only if the user wants that.
let authorization = keptAs(kept);

// Failure is why a request came to nothing. Its kind is "away" (no answer), "secret" (the
// node wants another secret), "scope" (the secret does not cover this), "refused" (this page
// may not ask) or "failed" (the command did).
export class Failure extends Error {
  constructor(kind, message, reason = "") {
    super(message);
    this.kind = kind;
    this.reason = reason.split(" ").filter(Boolean);
  }
}

// unlock takes a secret as the config has it, if the node accepts it.
export async function unlock(secret, keep) {
  const before = authorization;
  const given = header(secret);
  authorization = given;
  try {
    await call("version");
  } catch (failure) {
    authorization = before;
    throw failure;
  }
  if (keep) keepAs(kept, authorization);
}

// lock forgets the secret.
export function lock() {
  authorization = "";
  keepAs(kept, "");
}

export const isUnlocked = () => authorization !== "";

function header(secret) {
  const [, kind, value] = /^(bearer|basic):(.*)$/s.exec(secret) ?? [null, "bearer", secret];
  if (kind === "bearer" && /[^\x20-\x7e]/.test(value)) throw new Failure("secret", "A token has only characters that fit a header");
  if (kind === "bearer") return `Bearer ${value}`;
  if (!value.includes(":")) return `Basic ${value}`;
  return `Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(value)))}`;
}

function address(path, args, options) {
  const query = new URLSearchParams();
  for (const a of args) query.append("arg", a);
  for (const [name, value] of Object.entries(options)) query.append(name, value);
  return `${prefix}${path}?${query}`;
}

// stream yields the responses of a command.
export async function* stream(path, args = [], options = {}, signal = undefined) {
  const headers = authorization ? { Authorization: authorization } : {};
  let response;
  try {
    response = await fetch(address(path, args, options), { method: "POST", headers, signal, cache: "no-store", credentials: "omit", redirect: "error" });
  } catch (error) {
    throw away(error);
  }
  if (!response.ok) throw await failure(path, response.status, await response.text().catch(() => ""));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error) => { throw away(error); });
      const lines = (rest + (value ?? "")).split("\n");
      rest = done ? "" : lines.pop();
      yield* lines.filter(Boolean).map(read);
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// read reads a response. The last one may be the error that ended the command.
function read(line) {
  const value = JSON.parse(line);
  if (value.Type === "error") throw new Failure("failed", value.Message || "The command failed", value.Reason);
  return value;
}

// call returns the last response of a command.
export async function call(path, args, options, signal) {
  let last = null;
  for await (const value of stream(path, args, options, signal)) last = value;
  return last;
}

function away(error) {
  if (error.name === "AbortError") return error;
  return new Failure("away", "The node does not answer");
}

async function failure(path, status, text) {
  if (status === 403 && text.startsWith("Kubo RPC Access Denied")) {
    if (path === "version" || !authorization || !(await knows())) return new Failure("secret", "The node does not accept this secret");
    return new Failure("scope", `The secret does not cover ${path}: its AllowedPaths in the config say what it covers`);
  }
  if (status === 403) return new Failure("refused", text);
  try {
    const { Message, Reason } = JSON.parse(text);
    return new Failure("failed", Message, Reason);
  } catch {
    return new Failure("failed", text.trim() || `The node answers with status ${status}`);
  }
}

// knows reports whether the node knows the secret at all.
async function knows() {
  return call("version").then(() => true, () => false);
}

// upload sends files, which the browser reads as it sends them, and returns the last
// response. told is called with the bytes that were sent and their number.
export function upload(path, options, form, told, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not say what was sent
    request.open("POST", address(path, [], options));
    if (authorization) request.setRequestHeader("Authorization", authorization);
    request.upload.addEventListener("progress", (e) => told(e.loaded, e.total));
    request.addEventListener("error", () => reject(new Failure("away", "The connection broke; what was sent is not kept")));
    request.addEventListener("abort", () => reject(new DOMException("Stopped", "AbortError")));
    request.addEventListener("load", async () => {
      try {
        if (request.status !== 200) throw await failure(path, request.status, request.responseText);
        resolve(request.responseText.split("\n").filter(Boolean).map(read).at(-1));
      } catch (error) {
        reject(error);
      }
    });
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}
