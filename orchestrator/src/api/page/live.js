// The connection to the daemon: loads the lab, follows its events, and begins anew when the daemon was gone.

import { ApiError, get, list, request } from "./api.js";
import { EventParser } from "./events.js";

/** The daemon says something every 15 seconds. */
const SILENCE_MS = 40_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
/** A page that nobody sees lets go of its connection: a browser has only six to one host. */
const UNSEEN_MS = 60_000;

/** States: connecting, live, gone (with since when, why, and when it is tried again), unseen, login (a token is needed). */
export class Live {
  #model;
  #told;
  #state = { name: "connecting" };
  #wait = null;
  #stream = null;
  #unseen = 0;
  #isAnew = false;

  /** `told(state)` hears of every change of state. */
  constructor(model, told) {
    this.#model = model;
    this.#told = told;
    document.addEventListener("visibilitychange", () => this.#seen(!document.hidden));
    addEventListener("online", () => this.tryNow());
  }

  /** Connects, and stays connected for good. */
  async run() {
    let failures = 0;
    for (;;) {
      try {
        await this.#follow(() => (failures = 0));
      } catch (error) {
        if (this.#isAnew) this.#isAnew = false;
        else if (error.status === 401) await this.#pause({ name: "login" });
        else if (this.#state.name === "unseen") await this.#pause(this.#state);
        else await this.#pause(this.#goneBy(error, failures++));
      }
    }
  }

  /** Ends the wait for the next try. */
  tryNow() {
    this.#wait?.();
  }

  /** Leaves the connection that there is, and begins anew. */
  restart() {
    this.#isAnew = this.#wait === null;
    this.#stream?.abort();
    this.tryNow();
  }

  async #follow(isLive) {
    const stream = new AbortController();
    this.#stream = stream;
    const giveUp = () => stream.abort(new Error("the daemon has been silent"));
    let silence = setTimeout(giveUp, SILENCE_MS);
    try {
      // Opened first: what changes while the lab is loaded is in the stream, and comes after.
      const response = await request("GET", "events", { signal: stream.signal });
      const early = [];
      let take = (event) => early.push(event);
      const loading = this.#load().then(() => {
        early.forEach((event) => this.#model.apply(event.kind, JSON.parse(event.data)));
        take = (event) => this.#model.apply(event.kind, JSON.parse(event.data));
        isLive();
        this.#set({ name: "live" });
      });
      loading.catch(() => stream.abort());
      const parser = new EventParser();
      const text = response.body.pipeThrough(new TextDecoderStream()).getReader();
      try {
        for (;;) {
          const { done, value } = await text.read();
          if (done) break;
          clearTimeout(silence);
          silence = setTimeout(giveUp, SILENCE_MS);
          parser.take(value).forEach((event) => take(event));
        }
      } catch (error) {
        await loading; // the reason, when it was the loading that failed
        throw error;
      }
      throw new ApiError(0, { kind: "unreachable", message: "the daemon ended the connection" });
    } finally {
      clearTimeout(silence);
      stream.abort();
    }
  }

  async #load() {
    const [session, lab, devices, sweeps, schedules] = await Promise.all([
      get("session"),
      get("lab"),
      list("devices"),
      list("sweeps?limit=50"),
      list("schedules"),
    ]);
    this.#model.load({ session, lab, devices, sweeps, schedules });
  }

  #goneBy(error, failures) {
    const since = this.#state.name === "gone" ? this.#state.since : Date.now();
    const most = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** failures);
    const wait = most * (0.75 + Math.random() / 4); // not every page at once
    return { name: "gone", since, again: Date.now() + wait, why: error.message, isRefused: error.status > 0 };
  }

  /** Waits until there is reason to try again. */
  async #pause(state) {
    this.#set(state);
    await new Promise((resolve) => {
      this.#wait = resolve;
      if (state.again) setTimeout(resolve, state.again - Date.now());
    });
    this.#wait = null;
  }

  #set(state) {
    this.#state = state;
    this.#told(state);
  }

  #seen(isSeen) {
    clearTimeout(this.#unseen);
    if (!isSeen) {
      this.#unseen = setTimeout(() => {
        if (this.#state.name !== "live") return;
        this.#set({ name: "unseen" });
        this.#stream.abort();
      }, UNSEEN_MS);
    } else if (this.#state.name !== "login") {
      this.tryNow();
    }
  }
}
