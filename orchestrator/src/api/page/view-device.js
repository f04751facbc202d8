// One device: what it is, what it does, its lock, its history, and what it says right now.

import { get, list, pathOf, post } from "./api.js";
import { h, setChildren, setText } from "./dom.js";
import { setDoing } from "./device-row.js";
import { endOf } from "./filter.js";
import { bytes, fixed } from "./format.js";
import { act, say, tellError } from "./notices.js";
import { linkTo, setState, stateElement } from "./parts.js";
import { clockWithSeconds, setTime, timeElement } from "./time.js";
import { utilisationPart } from "./utilisation.js";

const LOCK_MINUTES = 120;
const HISTORY_STEP = 50;
const MOST_AT_ONCE = 1_000;
const LOG_LINES = 200;
const HISTORY_EVERY_MS = 1_500;

const FACTS = [
  ["Model", (device) => device.model],
  ["SoC", (device) => device.soc],
  ["System", (device) => device.os],
  ["Cores", (device) => device.cores],
  ["Memory", (device) => bytes(device.memory_bytes)],
  ["Free", (device) => bytes(device.free_bytes)],
  ["Temperature", (device) => device.temperature_celsius !== null && `${fixed(device.temperature_celsius, 1)} °C`],
  ["Battery", (device) => device.battery_percent !== null && `${device.battery_percent} %`],
  ["Reached by", ({ transport, address }) => (address.startsWith(transport) ? address : `${transport} ${address}`)],
  ["Farm", (device) => device.farm],
  ["Tags", (device) => device.tags.join("  ")],
  ["Notes", (device) => device.notes],
];

export function deviceView({ model }, name) {
  const state = stateElement();
  const doing = h("span", {});
  const until = timeElement("clock");
  const untilText = h("span", {}, "until ", until);
  const seen = timeElement("relative");
  const facts = h("dl", { class: "facts" });
  const lockText = h("p", {});
  const actions = actionsOf(name, model);
  const utilisation = utilisationPart(pathOf("devices", name, "utilisation"));
  const log = h("pre", { class: "log", role: "log", "aria-label": `Log of ${name}`, tabindex: 0 });
  const history = h("div", {});
  const older = h("button", { type: "button", hidden: true, onclick: loadOlder }, "Older ones");
  const missing = h("p", { class: "wrong" });
  const body = h("div", { class: "device" },
    h("section", { "aria-label": "Now", class: "standing" }, state, doing, untilText, h("span", { class: "muted" }, "seen ", seen)),
    h("section", { "aria-labelledby": "facts-title" }, h("h2", { id: "facts-title" }, "What it is"), facts),
    h("section", { "aria-labelledby": "lock-title" }, h("h2", { id: "lock-title" }, "Lock"), lockText, actions.element),
    utilisation.element,
    h("section", { "aria-labelledby": "log-title", class: "wide" }, h("h2", { id: "log-title" }, "Log"), log),
    h("section", { "aria-labelledby": "history-title", class: "wide" }, h("h2", { id: "history-title" }, "History"), history, older),
  );
  const element = h("article", {}, h("h1", {}, name), missing, body);
  let shownStatus = null;
  /** What its runs did too, the newest first: for the log. */
  let events = [];
  /** What happened but for that, the newest first, and where older ones are. */
  let told = [];
  let next = null;

  function show() {
    const device = model.devices.get(name);
    body.hidden = !device;
    setText(missing, device ? "" : `No device of this lab is named ${name}.`);
    if (!device) return;
    if (shownStatus !== null && shownStatus !== device.status) say(`${name} is ${device.status}`);
    shownStatus = device.status;
    setState(state, device.status);
    setDoing(doing, device, model.sweeps.get(device.use?.sweep_id)?.name);
    setTime(until, endOf(device));
    untilText.hidden = !endOf(device);
    setTime(seen, device.seen_at);
    const known = FACTS.map(([label, of]) => [label, of(device)]).filter(([, value]) => value);
    setChildren(facts, known, () => known.flatMap(([label, value]) => [h("dt", {}, label), h("dd", {}, String(value))]));
    showLock(lockText, device);
    actions.show(device);
  }

  function showLog() {
    const lastMs = events.length > 0 ? Date.parse(events[0].at) : 0;
    const newer = model.lines.filter((line) => line.device === name && Date.parse(line.at) > lastMs);
    const lines = [...events].reverse().concat(newer).map(({ at, text }) => `${clockWithSeconds(Date.parse(at))}  ${ofDevice(text)}`);
    const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 30;
    setText(log, lines.join("\n") || "Nothing yet.");
    if (isAtEnd) log.scrollTop = log.scrollHeight;
  }

  function page(query) {
    return `${pathOf("devices", name, "history")}?${new URLSearchParams(query)}`;
  }

  /** Loads as many as are shown anew, so that none of them goes. */
  async function showHistory() {
    try {
      const limit = Math.min(MOST_AT_ONCE, Math.max(HISTORY_STEP, told.length));
      const [part, lines] = await Promise.all([get(page({ limit })), list(page({ runs: "true", limit: LOG_LINES }))]);
      const rest = told.filter((event) => part.next !== null && event.number < Number(part.next));
      if (rest.length === 0) next = part.next;
      [told, events] = [[...part.items, ...rest], lines];
      showTold();
      showLog();
    } catch (error) {
      if (error.status !== 404 && error.status !== 0 && error.status !== 401) tellError(error);
    }
  }

  async function loadOlder() {
    const part = await act(older, () => get(page({ limit: HISTORY_STEP, before: next })));
    if (!part) return;
    [told, next] = [[...told, ...part.items], part.next];
    showTold();
  }

  function showTold() {
    const entries = told.map((event) => ({ ...event, text: ofDevice(event.text) }));
    setChildren(history, entries, () => [historyTable(entries)]);
    older.hidden = next === null;
  }

  const historySoon = throttled(showHistory);

  /** The text without the device's name, which stands above. */
  function ofDevice(text) {
    return text.startsWith(`${name}: `) ? text.slice(name.length + 2) : text;
  }

  function update(changes) {
    utilisation.update(changes);
    if (changes.all || changes.devices.has(name)) {
      show();
      if (model.devices.has(name)) historySoon(changes.all ? 0 : HISTORY_EVERY_MS);
    }
    if (changes.lines) {
      showLog();
      historySoon(HISTORY_EVERY_MS);
    }
  }

  return { title: name, element, update, leave: () => historySoon(null) };
}

/** Calls `work` after a while, once for all calls within that. Null gives it up. */
function throttled(work) {
  let timer = null;
  return (afterMs) => {
    if (afterMs === null || afterMs === 0) clearTimeout(timer);
    else if (timer !== null) return;
    const call = () => {
      timer = null;
      work();
    };
    timer = afterMs === null ? null : setTimeout(call, afterMs);
  };
}

function showLock(element, { lock }) {
  setChildren(element, lock, () => {
    if (!lock) return ["Nobody has locked it."];
    const until = timeElement("clock");
    setTime(until, lock.until);
    const end = lock.until ? ["until ", until] : ["until it is unlocked"];
    return ["Locked by ", h("strong", {}, lock.by), " ", ...end, lock.why ? `: ${lock.why}` : ""];
  });
}

/** What may be done to a device, for who may. */
function actionsOf(name, model) {
  const minutes = h("input", { type: "number", id: "lock-minutes", min: 1, max: 43_200, value: LOCK_MINUTES, required: true });
  const why = h("input", { type: "text", id: "lock-why", maxlength: 200, placeholder: "debugging", required: true });
  const lock = h("button", { class: "first" }, "Lock");
  const unlock = h("button", { type: "button", onclick: () => write(unlock, "unlock", {}, `${name} is unlocked`) }, "Unlock");
  const release = h("button", { type: "button", onclick: () => write(release, "release", {}, `${name} is released`) }, "Release from quarantine");

  /** What it changes is shown once the stream tells it: an answer may be out of date before the stream is. */
  function write(button, verb, body, done) {
    return act(button, () => post(pathOf("devices", name, verb), body), done);
  }

  const form = h("form", {
      class: "lock",
      onsubmit: (event) => {
        event.preventDefault();
        write(lock, "lock", { minutes: minutes.valueAsNumber, why: why.value }, `${name} is locked`);
      },
    },
    h("label", { for: "lock-minutes" }, "Minutes"), minutes,
    h("label", { for: "lock-why" }, "Why"), why,
    lock,
  );
  const element = h("div", { class: "actions" }, form, unlock, release);

  /** A button that has the focus stays where it was when what it did hides it: the focus goes on to what is next. */
  function show(device) {
    const had = element.contains(document.activeElement);
    element.hidden = !model.may("run");
    form.hidden = device.lock !== null;
    unlock.hidden = device.lock === null;
    release.hidden = device.status !== "quarantined";
    if (had && document.activeElement.closest("[hidden]")) (form.hidden ? unlock : minutes).focus();
  }

  return { element, show };
}

/** What happened, a row each. */
export function historyTable(entries, label = "History") {
  if (entries.length === 0) return h("p", {}, "Nothing yet.");
  const rows = entries.map(({ at, kind, text, sweep_id: sweepId }) => {
    const when = timeElement("relative");
    setTime(when, at);
    return h("tr", {}, h("td", { class: "n" }, when), h("td", { class: "kind" }, kind.replaceAll("_", " ")), h("td", {}, text, " ", sweepId ? linkTo("sweeps", sweepId) : null));
  });
  const heads = ["When", "What", "Detail"].map((text, at) => h("th", { scope: "col", class: at === 0 ? "n" : null }, text));
  return h("table", { class: "history", "aria-label": label }, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...rows));
}
