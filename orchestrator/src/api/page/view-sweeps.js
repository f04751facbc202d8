// Every sweep, the newest first, with its reports. The daemon looks for words in all of them, not in those that are shown.

import { get } from "./api.js";
import { h, KeyedList, setText, table } from "./dom.js";
import { many } from "./format.js";
import { isOver, newestFirst } from "./model.js";
import { act, tellError } from "./notices.js";
import { countsText, linkTo, progressElement, setProgress, setReports, setState, spanText, standingOf, stateElement } from "./parts.js";
import { keepQuery } from "./router.js";
import { setTime, timeElement } from "./time.js";

const STEP = 50;
/** Most that the daemon tells at once. */
const MOST_AT_ONCE = 500;
/** Who types is asked for no more than this often. */
const TYPING_MS = 250;
const COLUMNS = [
  { text: "State" }, { text: "Sweep" }, { text: "Started", class: "n" }, { text: "Time", class: "n" }, { text: "Cells" }, { text: "Schedule" }, { text: "Reports" },
];

export function sweepsView({ model, query }) {
  /** Those that the daemon has told for the words, by their names; `next` is where older ones are. */
  let found = new Map();
  let next = null;
  let turn = 0;
  let typing = null;
  let isLeft = false;
  const text = h("input", {
    type: "search", placeholder: "Filter  /", "aria-label": "Filter sweeps by words", value: query.get("q") ?? "",
    oninput: () => {
      keepQuery(new URLSearchParams(text.value ? { q: text.value } : {}));
      clearTimeout(typing);
      typing = setTimeout(() => reload(STEP), TYPING_MS);
    },
  });
  const shown = h("p", { class: "shown", role: "status" });
  const body = h("tbody", { role: "rowgroup" });
  const rows = new KeyedList(body, (id) => sweepRow(id, model));
  const more = h("button", { type: "button", hidden: true, onclick: loadMore }, "Older ones");
  const element = h("div", {},
    h("h1", {}, "Sweeps"),
    h("div", { class: "filters", role: "search" }, text, shown),
    table("Sweeps", COLUMNS, body, { class: "sweeps" }),
    more,
  );

  function page(limit, before) {
    const words = { limit: String(limit), ...(text.value.trim() ? { q: text.value.trim() } : {}), ...(before ? { before } : {}) };
    return get(`sweeps?${new URLSearchParams(words)}`);
  }

  /** Loads so many anew: as many as were shown, so that a connection that was lost for a moment takes none away. */
  async function reload(wanted) {
    const own = ++turn;
    const loaded = new Map();
    try {
      let part = { next: null };
      do {
        part = await page(Math.min(MOST_AT_ONCE, wanted - loaded.size), part.next);
        for (const sweep of part.items) loaded.set(sweep.id, sweep);
      } while (part.next !== null && loaded.size < wanted);
      if (own !== turn || isLeft) return;
      [found, next] = [loaded, part.next];
      showRows();
    } catch (error) {
      if (error.status !== 0 && error.status !== 401) tellError(error);
    }
  }

  async function loadMore() {
    const own = turn;
    const part = await act(more, () => page(STEP, next));
    if (!part || own !== turn) return;
    for (const sweep of part.items) found.set(sweep.id, sweep);
    next = part.next;
    showRows();
  }

  function showRows() {
    // Those that began since are in the stream.
    const newest = text.value.trim() ? [] : [...model.sweeps.values()].filter((sweep) => !isOlder(sweep));
    for (const sweep of newest) found.set(sweep.id, sweep);
    const all = newestFirst([...found.values()].map((sweep) => model.sweeps.get(sweep.id) ?? sweep));
    rows.set(all.map((sweep) => [sweep.id, sweep]));
    const none = text.value.trim() ? "No sweep of this lab is like that." : "No sweep was run yet.";
    const count = next === null ? many(all.length, "sweep") : `the newest ${all.length}`;
    setText(shown, all.length === 0 ? none : count);
    more.hidden = next === null;
  }

  /** Whether a sweep is older than all that are shown: it comes with «Older ones». */
  function isOlder(sweep) {
    if (next === null) return false;
    return [...found.values()].every((one) => one.started_at > sweep.started_at);
  }

  function update(changes) {
    if (changes.all) reload(Math.max(STEP, found.size));
    else if (changes.sweeps?.size || changes.devices?.size) showRows();
  }

  function leave() {
    isLeft = true;
    clearTimeout(typing);
  }

  return { title: "Sweeps", element, update, leave };
}

function sweepRow(id, model) {
  const cell = (column, ...children) => h("td", { role: "cell", "data-column": column, class: column === "started" || column === "time" ? "n" : null }, ...children);
  const state = stateElement();
  const name = linkTo("sweeps", id);
  name.dataset.open = "";
  const label = h("span", { class: "muted" }, id);
  const started = timeElement("relative");
  const time = cell("time");
  const progress = progressElement();
  const counts = h("span", { class: "counts" });
  const schedule = cell("schedule");
  const reports = cell("reports");
  const head = h("th", { scope: "row", role: "rowheader", "data-column": "name" }, name, " ", label);
  return {
    element: h("tr", { role: "row", "data-row": "" }, cell("state", state), head, cell("started", started), time, cell("jobs", progress, counts), schedule, reports),
    update(sweep) {
      setState(state, ...standingOf(sweep));
      setText(name, sweep.name);
      setTime(started, sweep.started_at);
      setText(time, spanText(sweep, model.devices.values()).replace(/^took /, ""));
      progress.hidden = isOver(sweep);
      setProgress(progress, sweep);
      setText(counts, countsText(sweep.counts));
      setText(schedule, sweep.schedule ?? "");
      setReports(reports, sweep, { onlyResults: true });
    },
  };
}
