// Every sweep, the newest first, with its reports.

import { get } from "./api.js";
import { h, KeyedList, setText, table } from "./dom.js";
import { many } from "./format.js";
import { isOver, newestFirst } from "./model.js";
import { act } from "./notices.js";
import { countsText, linkTo, progressElement, setProgress, setReports, setState, spanText, stateElement } from "./parts.js";
import { keepQuery } from "./router.js";
import { setTime, timeElement } from "./time.js";

const STEP = 50;
const COLUMNS = [
  { text: "State" }, { text: "Sweep" }, { text: "Started", class: "n" }, { text: "Time", class: "n" }, { text: "Jobs" }, { text: "Schedule" }, { text: "Reports" },
];

export function sweepsView({ model, query }) {
  let limit = STEP;
  const text = h("input", {
    type: "search", placeholder: "Filter  /", "aria-label": "Filter sweeps by words", value: query.get("q") ?? "",
    oninput: () => {
      keepQuery(new URLSearchParams(text.value ? { q: text.value } : {}));
      showRows();
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

  function showRows() {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const all = newestFirst(model.sweeps.values());
    const wanted = all.filter((sweep) => {
      const known = [sweep.id, sweep.name, sweep.state, sweep.schedule].join("\n").toLowerCase();
      return words.every((word) => known.includes(word));
    });
    rows.set(wanted.map((sweep) => [sweep.id, sweep]));
    const none = all.length === 0 ? "No sweep was run yet." : "No sweep is like that.";
    setText(shown, wanted.length === 0 ? none : wanted.length < all.length ? `${wanted.length} of ${many(all.length, "sweep")}` : "");
    more.hidden = all.length < limit;
  }

  async function loadMore() {
    const found = await act(more, () => get(`sweeps?limit=${limit + STEP}`));
    if (!found) return;
    const before = model.sweeps.size;
    for (const sweep of found.items) if (!model.sweeps.has(sweep.id)) model.apply("sweep", sweep);
    limit = model.sweeps.size > before ? limit + STEP : Infinity;
    showRows();
  }

  function update(changes) {
    if (changes.all || changes.sweeps?.size || changes.devices?.size) showRows();
  }

  return { title: "Sweeps", element, update };
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
      setState(state, sweep.state);
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
