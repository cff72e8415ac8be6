// Dialogs: the element does the focus, the keyboard and the curtain; here is what they share.

import { byId, el, plain, plural } from "./dom.js";
import { stream } from "./api.js";
import { dots } from "./shapes.js";
import { state } from "./state.js";

let count = 0;

// Dialog is open from open() until it is closed, and then gone.
export class Dialog {
  // act is called when the main button is pressed, with a signal that ends with the
  // dialog. It returns what remains to be read, or nothing: then the dialog closes. What it
  // throws is shown.
  constructor(title, body, action, act) {
    const id = `dialog-${count++}`;
    this.act = act;
    this.stopping = new AbortController();
    this.error = el("p", { class: "error", role: "alert" });
    this.progress = el("div", { class: "progress" });
    this.main = el("button", { type: "submit", class: "button main" }, action);
    this.cancel = el("button", { type: "button", class: "button quiet", onclick: () => this.element.close() }, "Cancel");
    this.fields = el("fieldset", {}, ...body);
    this.form = el("form", { method: "dialog" }, el("h2", { id, tabindex: "-1", autofocus: true }, title), this.fields, this.progress, this.error,
      el("p", { class: "row ends" }, this.cancel, this.main));
    this.form.addEventListener("submit", (e) => { e.preventDefault(); this.submit(); });
    const first = this.fields.querySelector("input:not([type=checkbox], [readonly]), select");
    if (first) {
      this.form.querySelector("h2").removeAttribute("autofocus");
      first.autofocus = true;
    }
    this.element = el("dialog", { "aria-labelledby": id }, this.form);
    this.element.addEventListener("close", () => { this.stopping.abort(); this.element.remove(); });
    let outside = false; // a text that is marked with the mouse may end there
    this.element.addEventListener("pointerdown", (e) => { outside = e.target === this.element; });
    this.element.addEventListener("click", (e) => { if (outside && e.target === this.element && !this.busy) this.element.close(); });
  }

  // open opens it. When it closes, the focus returns to where it was, or goes to otherwise if
  // that is gone.
  open(otherwise = byId("main")) {
    const opener = document.activeElement;
    this.element.addEventListener("close", () => { if (!opener?.isConnected) otherwise.focus(); });
    document.body.append(this.element);
    this.element.showModal();
    return this;
  }

  // allow sets whether the main button can be pressed.
  allow(yes) {
    this.main.disabled = !yes;
  }

  async submit() {
    if (this.busy || this.main.disabled) return;
    this.busy = true;
    this.error.textContent = "";
    this.fields.disabled = true;
    this.main.setAttribute("aria-disabled", "true");
    try {
      const rest = await this.act(this, this.stopping.signal);
      if (!rest) this.element.close();
      else this.end(rest);
    } catch (error) {
      this.progress.replaceChildren();
      if (error.name !== "AbortError") this.error.textContent = plain(error.message);
      this.fields.disabled = false;
    } finally {
      this.busy = false;
      this.main.removeAttribute("aria-disabled");
    }
  }

  // end shows what remains to be read.
  end(rest) {
    const done = el("button", { type: "button", class: "button main", onclick: () => this.element.close() }, "Done");
    const title = this.form.querySelector("h2");
    this.form.replaceChildren(title, ...rest, el("p", { class: "row ends" }, done));
    done.focus();
  }
}

// field is an input with its label, and a note that belongs to both.
export function field(label, input, note) {
  input.id = `field-${count++}`;
  const help = note && el("p", { class: "note", id: `${input.id}-note` }, note);
  if (help) input.setAttribute("aria-describedby", help.id);
  return el("div", { class: "field" }, el("label", { for: input.id }, label), input, help);
}

// announce runs a command that publishes, shows who takes the record, and returns what is to
// be read of it in the end.
export async function announce(dialog, path, args, options, signal) {
  const says = el("p", { role: "status" }, "Signing and storing…");
  dialog.progress.replaceChildren(says);
  const asked = { progress: true, ...options };
  if (state.node.online === false) asked["allow-offline"] = true;
  let last = null;
  try {
    for await (const p of stream(path, args, asked, signal)) {
      last = p;
      says.textContent = "Stored here. Bringing it to the servers that should have it…";
      dialog.progress.replaceChildren(says, ...dots(p.Announced, p.Of));
    }
  } catch (error) {
    if (!error.reason?.includes("unannounced")) throw error;
    return [el("p", { class: "warning", role: "alert" }, plain(error.message))]; // it is stored all the same
  }
  return outcome(last);
}

// outcome describes a published record.
function outcome(p) {
  const rest = [el("p", { role: "status" }, p.Announced > 0
    ? `Announced to ${p.Announced} of ${plural(p.Of, "server")}, as sequence ${p.Sequence}.${p.Announcing ? " More are being asked." : ""}`
    : `Stored here as sequence ${p.Sequence}, and announced to nobody: this node has no network now.`)];
  if (p.Of > 0) rest.push(el("div", { class: "progress" }, ...dots(p.Announced, p.Of)));
  for (const warning of p.Warnings ?? []) rest.push(el("p", { class: "warning" }, plain(warning)));
  return rest;
}
