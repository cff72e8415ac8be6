// The connection that keeps the page up to date: names that change arrive by name/watch, and
// with its heartbeats the page reads what is not about names.

import { stream } from "./api.js";
import { changed, hasKey, readAll, readKeys, readName, readNames, readNode, readRisks, readTenants, state } from "./state.js";

const firstWait = 500, longestWait = 30_000; // milliseconds before it connects again
const silence = 40_000; // without a heartbeat, the connection is gone
const settlesIn = 15_000, lookEvery = 1200; // after a change, who has the record becomes known
const fewNames = 10; // that are read one by one
const manyNames = 300; // beyond, all names are read in every fourth heartbeat only
const pollEvery = 15_000, polls = 8; // where changes cannot be watched
const hiddenFor = 60_000; // a page that nobody sees leaves its connection to others

const pause = (ms, signal) => new Promise((resolve) => {
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
});

// Live keeps the page up to date. show is called with the state of the connection: "live",
// "away" with the milliseconds until the next attempt, "secret", or "refused" with the error.
export class Live {
  constructor(show) {
    this.show = show;
    this.since = "";
    this.beats = 0;
    this.fresh = new Map(); // names that have changed: until when they are read again
    this.now = new AbortController(); // ends a pause
    document.addEventListener("visibilitychange", () => this.visible());
    addEventListener("online", () => this.retry());
  }

  // retry connects at once.
  retry() {
    this.now.abort();
  }

  visible() {
    clearTimeout(this.hiding);
    if (document.hidden) {
      this.hiding = setTimeout(() => { this.asleep = true; this.reading?.abort(); }, hiddenFor);
      return;
    }
    this.asleep = false;
    this.retry();
  }

  // run connects, and connects again, for as long as the page is there.
  async run() {
    for (let wait = firstWait; ;) {
      try {
        if (await this.connect(() => { wait = firstWait; })) continue;
      } catch (error) {
        if (error.kind === "secret" || error.kind === "refused") {
          this.show(error.kind, error);
          await this.pause(2 ** 31 - 1);
          continue;
        }
        if (error.name !== "AbortError") console.warn(error);
      }
      if (!this.asleep) this.show("away", wait);
      await this.pause(this.asleep ? 2 ** 31 - 1 : wait * (0.8 + 0.4 * Math.random()));
      wait = Math.min(2 * wait, longestWait);
    }
  }

  async pause(ms) {
    this.now = new AbortController();
    await pause(ms, this.now.signal);
  }

  // connect follows the changes until the connection ends; true is to connect at once. All
  // is read once the first connection stands, so that no change falls between; later ones
  // go on where the last one ended.
  async connect(connected) {
    this.reading = new AbortController();
    const quiet = () => { clearTimeout(this.watchdog); this.watchdog = setTimeout(() => this.reading.abort(), silence); };
    quiet();
    let stands = false;
    try {
      for await (const change of stream("name/watch", [], this.since ? { since: this.since } : {}, this.reading.signal)) {
        quiet();
        if (this.since === "" || change.Gap) await readAll();
        else if (!stands) this.beat(); // what has changed meanwhile comes
        else if (!change.Name) this.beat();
        this.since = change.Position;
        if (!stands) {
          stands = true;
          state.troubles.delete("watch");
          connected();
          this.show("live");
        }
        if (change.Name) this.take(change);
      }
    } catch (error) {
      if (error.kind !== "scope" && error.kind !== "failed") throw error;
      state.troubles.set("watch", error); // the node cannot be watched, but may be read
      this.since = ""; // whatever was wrong with the position
      await this.poll(connected);
      return true;
    } finally {
      clearTimeout(this.watchdog);
    }
    return false;
  }

  // poll reads all now and then, until it is time to try to watch again.
  async poll(connected) {
    for (let i = 0; i < polls; i++) {
      await readAll();
      connected();
      this.show("live");
      await this.pause(pollEvery);
    }
  }

  take(change) {
    if (change.Status) state.names.set(change.Name, change.Status);
    else state.names.delete(change.Name);
    changed();
    if (change.Status?.Origin !== "hosted" && !hasKey(change.Name)) this.quietly(readKeys());
    if (!change.Status) return;
    this.fresh.set(change.Name, Date.now() + settlesIn);
    if (this.settling) return;
    this.settling = true;
    setTimeout(() => this.settle(), lookEvery / 4);
  }

  // settle reads again what has changed a short while ago.
  async settle() {
    const some = [...this.fresh.keys()];
    for (const [name, until] of this.fresh) {
      if (until < Date.now()) this.fresh.delete(name);
    }
    const all = () => (state.names.size <= manyNames ? [readNames()] : []);
    await this.quietly(Promise.all([readRisks(), ...(some.length <= fewNames ? some.map(readName) : all())]));
    this.settling = this.fresh.size > 0;
    if (this.settling) setTimeout(() => this.settle(), lookEvery);
  }

  beat() {
    this.beats++;
    const all = state.names.size <= manyNames || this.beats % 4 === 0;
    this.quietly(Promise.all([readKeys(), readTenants(), readRisks(), readNode(), all && readNames()]));
  }

  // quietly waits for what the connection does not depend on.
  quietly(reading) {
    return reading.then(changed, () => {});
  }
}

