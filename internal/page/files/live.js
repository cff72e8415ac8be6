// The connection that keeps the page up to date: names that change arrive by name/watch, and
// with its heartbeats the page reads what is not about names.

import { stream } from "./api.js";
import { changed, readAll, readKeys, readName, readNames, readNode, readRisks, state } from "./state.js";

const firstWait = 500, longestWait = 30_000; // milliseconds before it connects again
const silence = 40_000; // without a heartbeat, the connection is gone
const settling = [300, 1000, 2500, 6000, 15_000]; // after a change, who has the record becomes known
const manyNames = 300; // beyond, all names are read in every fourth heartbeat only
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
        await this.connect(() => { wait = firstWait; });
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

  // connect follows the changes until the connection ends. All is read once the connection
  // stands, so that no change falls between.
  async connect(connected) {
    this.reading = new AbortController();
    const quiet = () => { clearTimeout(this.watchdog); this.watchdog = setTimeout(() => this.reading.abort(), silence); };
    quiet();
    let whole = false;
    try {
      for await (const change of stream("name/watch", [], this.since ? { since: this.since } : {}, this.reading.signal)) {
        quiet();
        this.since = change.Position;
        if (!whole || change.Gap) {
          await readAll();
          whole = true;
          connected();
          this.show("live");
        }
        if (change.Name) this.take(change);
        else this.beat();
      }
    } catch (error) {
      if (error.kind !== "scope" && error.kind !== "failed") throw error;
      await this.poll(error, connected); // the node cannot be watched, but may be read
    } finally {
      clearTimeout(this.watchdog);
    }
  }

  // poll reads all now and then.
  async poll(error, connected) {
    state.troubles.set("watch", error);
    await readAll();
    connected();
    this.show("live");
    await this.pause(15_000);
    return this.poll(error, connected);
  }

  take(change) {
    if (change.Status) state.names.set(change.Name, change.Status);
    else state.names.delete(change.Name);
    changed();
    if (change.Status) for (const ms of settling) setTimeout(() => this.settle(change.Name), ms);
    if (!state.keys.some((k) => k.Id === change.Name)) this.quietly(readKeys());
  }

  settle(name) {
    this.quietly(Promise.all([readName(name), readRisks()]));
  }

  beat() {
    this.beats++;
    const all = state.names.size <= manyNames || this.beats % 4 === 0;
    this.quietly(Promise.all([readKeys(), readRisks(), readNode(), all && readNames()]));
  }

  // quietly waits for what the connection does not depend on.
  quietly(reading) {
    reading.then(changed, () => {});
  }
}

