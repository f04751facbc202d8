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
  const found = foundSweeps(model);
  let typing = null;
  const text = h("input", {
    type: "search", placeholder: "Filter  /", "aria-label": "Filter sweeps by words", value: query.get("q") ?? "", maxlength: 200,
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

  async function reload(wanted) {
    try {
      if (await found.reload(text.value.trim(), wanted)) showRows();
    } catch (error) {
      if (error.status !== 0 && error.status !== 401) tellError(error);
    }
  }

  async function loadMore() {
    if (await act(more, () => found.more())) showRows();
  }

  function showRows() {
    const all = found.newestFirst();
    rows.set(all.map((sweep) => [sweep.id, sweep]));
    const none = text.value.trim() ? "No sweep of this lab is like that." : "No sweep was run yet.";
    const count = found.hasMore() ? `the newest ${all.length}` : many(all.length, "sweep");
    setText(shown, all.length === 0 ? none : count);
    more.hidden = !found.hasMore();
  }

  /** Of thousands that are shown, those alone that may say something else now. */
  function showChanged(changes) {
    const under = changes.devices?.size ? [...model.sweeps.values()].filter((sweep) => !isOver(sweep)).map((sweep) => sweep.id) : [];
    const changed = new Set([...(changes.sweeps ?? []), ...under]);
    if ([...changed].some((id) => found.isNew(id))) return showRows();
    for (const id of changed) rows.get(id)?.update(model.sweeps.get(id));
  }

  function update(changes) {
    if (changes.all) reload(Math.max(STEP, found.size()));
    else showChanged(changes);
  }

  function leave() {
    found.leave();
    clearTimeout(typing);
  }

  return { title: "Sweeps", element, update, leave };
}

/** What the daemon has told of sweeps that are like some words, part by part. Those that began since come from the stream. */
function foundSweeps(model) {
  let words = "";
  let found = new Map();
  /** Where older ones are. */
  let next = null;
  let turn = 0;
  let isLeft = false;

  function page(limit, before) {
    const asked = { limit: String(limit), ...(words ? { q: words } : {}), ...(before ? { before } : {}) };
    return get(`sweeps?${new URLSearchParams(asked)}`);
  }

  /**
   * Loads so many anew: as many as were shown, so that a connection that was lost for a moment takes none away. Gives false when something
   * else was asked meanwhile.
   */
  async function reload(wantedWords, wanted) {
    const own = ++turn;
    words = wantedWords;
    const loaded = new Map();
    let part = { next: null };
    do {
      part = await page(Math.min(MOST_AT_ONCE, wanted - loaded.size), part.next);
      if (own !== turn || isLeft) return false;
      for (const sweep of part.items) loaded.set(sweep.id, sweep);
    } while (part.next !== null && loaded.size < wanted);
    [found, next] = [loaded, part.next];
    return true;
  }

  /** Loads older ones. */
  async function more() {
    const own = turn;
    // The more there are, the more a person wants to go back.
    const part = await page(Math.min(MOST_AT_ONCE, Math.max(STEP, found.size)), next);
    if (own !== turn || isLeft) return false;
    for (const sweep of part.items) found.set(sweep.id, sweep);
    next = part.next;
    return true;
  }

  /** Whether a sweep is to be shown that is not: it began since. One that is older than all that are shown comes with the older ones. */
  function isNew(id) {
    const sweep = model.sweeps.get(id);
    if (!sweep || words || found.has(id)) return false;
    return next === null || [...found.values()].some((one) => one.started_at <= sweep.started_at);
  }

  function ordered() {
    for (const [id, sweep] of model.sweeps) if (isNew(id)) found.set(id, sweep);
    return newestFirst([...found.values()].map((sweep) => model.sweeps.get(sweep.id) ?? sweep));
  }

  return { reload, more, isNew, newestFirst: ordered, hasMore: () => next !== null, size: () => found.size, leave: () => (isLeft = true) };
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
