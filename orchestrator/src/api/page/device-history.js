// What happened to a device: its log, which goes on while it is shown, and its history, the newest first.

import { get, list, pathOf } from "./api.js";
import { h, setChildren, setText, table } from "./dom.js";
import { act, tellError } from "./notices.js";
import { linkTo } from "./parts.js";
import { clockWithSeconds, setTime, timeElement } from "./time.js";

const HISTORY_STEP = 50;
const MOST_AT_ONCE = 1_000;
const LOG_LINES = 200;
const HISTORY_EVERY_MS = 1_500;

/** The sections `{ elements, update(changes), leave() }` on the past of a device. */
export function deviceHistory(name, model) {
  const log = logPart(name, model);
  const told = toldPart(name);

  /** Loads as many as are shown anew, so that none of them goes. */
  async function load() {
    try {
      const limit = Math.min(MOST_AT_ONCE, Math.max(HISTORY_STEP, told.count()));
      const [part, lines] = await Promise.all([get(page(name, { limit })), list(page(name, { runs: "true", limit: LOG_LINES }))]);
      told.renew(part);
      log.renew(lines);
    } catch (error) {
      if (error.status !== 404 && error.status !== 0 && error.status !== 401) tellError(error);
    }
  }

  const soon = throttled(load);

  function update(changes) {
    const isChanged = changes.all || changes.devices.has(name);
    if (isChanged && model.devices.has(name)) soon(changes.all ? 0 : HISTORY_EVERY_MS);
    if (changes.lines) {
      log.show();
      soon(HISTORY_EVERY_MS);
    }
  }

  return { elements: [log.element, told.element], update, leave: () => soon(null) };
}

function page(name, query) {
  return `${pathOf("devices", name, "history")}?${new URLSearchParams(query)}`;
}

/** The text without the device's name, which stands above. */
function withoutName(text, name) {
  return text.startsWith(`${name}: `) ? text.slice(name.length + 2) : text;
}

function logPart(name, model) {
  const log = h("pre", { class: "log", role: "log", "aria-label": `Log of ${name}`, tabindex: 0 });
  const element = h("section", { "aria-labelledby": "log-title", class: "wide" }, h("h2", { id: "log-title" }, "Log"), log);
  /** What its runs did too, the newest first. */
  let events = [];

  function show() {
    const lastMs = events.length > 0 ? Date.parse(events[0].at) : 0;
    const newer = model.lines.filter((line) => line.device === name && Date.parse(line.at) > lastMs);
    const lines = [...events].reverse().concat(newer).map(({ at, text }) => `${clockWithSeconds(Date.parse(at))}  ${withoutName(text, name)}`);
    const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 30;
    setText(log, lines.join("\n") || "Nothing yet.");
    if (isAtEnd) log.scrollTop = log.scrollHeight;
  }

  function renew(lines) {
    events = lines;
    show();
  }

  return { element, show, renew };
}

function toldPart(name) {
  const place = h("div", {});
  const older = h("button", { type: "button", hidden: true, onclick: loadOlder }, "Older ones");
  const element = h("section", { "aria-labelledby": "history-title", class: "wide" }, h("h2", { id: "history-title" }, "History"), place, older);
  /** The newest first, and where older ones are. */
  let told = [];
  let next = null;

  /** The newest are these; older ones that were loaded stay. */
  function renew(part) {
    const rest = told.filter((event) => part.next !== null && event.number < Number(part.next));
    if (rest.length === 0) next = part.next;
    told = [...part.items, ...rest];
    show();
  }

  async function loadOlder() {
    const part = await act(older, () => get(page(name, { limit: HISTORY_STEP, before: next })));
    if (!part) return;
    [told, next] = [[...told, ...part.items], part.next];
    show();
  }

  function show() {
    const entries = told.map((event) => ({ ...event, text: withoutName(event.text, name) }));
    setChildren(place, entries, () => [historyTable(entries)]);
    older.hidden = next === null;
  }

  return { element, renew, count: () => told.length };
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

/** What happened, a row each. The roles stay true when a narrow screen shows rows as blocks. */
export function historyTable(entries, label = "History") {
  if (entries.length === 0) return h("p", {}, "Nothing yet.");
  const rows = entries.map(({ at, kind, text, sweep_id: sweepId }) => {
    const when = timeElement("relative");
    setTime(when, at);
    const cell = (kind, ...children) => h("td", { role: "cell", class: kind }, ...children);
    return h("tr", { role: "row" }, cell("n", when), cell("kind", kind.replaceAll("_", " ")), cell(null, text, " ", sweepId ? linkTo("sweeps", sweepId) : null));
  });
  const columns = [{ text: "When", class: "n" }, { text: "What" }, { text: "Detail" }];
  return table(label, columns, h("tbody", { role: "rowgroup" }, ...rows), { class: "history" });
}
