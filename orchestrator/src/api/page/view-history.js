// How fast the cells of a network were over sweeps: a line for each, with the places where its level changed.

import { get } from "./api.js";
import { h, setChildren, setText } from "./dom.js";
import { figures, joined, many, signed } from "./format.js";
import { act } from "./notices.js";
import { linkTo } from "./parts.js";
import { keepQuery } from "./router.js";
import { svg } from "./svg.js";
import { absolute, setTime, timeElement } from "./time.js";

const STEP = 20;
const FIELDS = ["model", "device", "backend", "precision", "threads", "batch", "days"];
const LABELS = { model: "Network", device: "Device", backend: "Engine", precision: "Precision", threads: "Threads", batch: "Batch", days: "Last days" };
/** Size of a chart in its own units. */
const WIDTH = 600;
const HEIGHT = 120;

export function historyView({ query }) {
  let turn = 0;
  let isLeft = false;
  let cells = [];
  let next = null;
  const inputs = new Map(FIELDS.map((name) => [name, h("input", {
    id: `history-${name}`, value: query.get(name) ?? "", required: name === "model", size: name === "model" || name === "device" ? 18 : 8,
    ...(name === "days" ? { type: "number", min: 1, max: 36_600 } : {}),
  })]));
  const labels = FIELDS.map((name) => h("label", { for: `history-${name}` }, `${LABELS[name]} `, inputs.get(name)));
  const form = h("form", { class: "filters", onsubmit: (event) => {
    event.preventDefault();
    load();
  } }, ...labels, h("button", { class: "first" }, "Show"));
  const wrong = h("p", { class: "wrong" });
  const status = h("p", { class: "shown", role: "status" });
  const place = h("div", { class: "histories" });
  const more = h("button", { type: "button", hidden: true, onclick: loadMore }, "More cells");
  const element = h("div", {}, h("h1", {}, "History"), form, wrong, status, place, more);

  function words() {
    return Object.fromEntries(FIELDS.map((name) => [name, inputs.get(name).value.trim()]).filter(([, word]) => word));
  }

  function page(after) {
    return get(`history?${new URLSearchParams({ ...words(), limit: String(STEP), ...(after === null ? {} : { after }) })}`);
  }

  async function load() {
    const own = ++turn;
    if (!words().model) return;
    keepQuery(new URLSearchParams(words()));
    setText(wrong, "");
    try {
      const part = await page(null);
      if (own !== turn || isLeft) return;
      [cells, next] = [part.items, part.next];
    } catch (error) {
      if (own !== turn || isLeft) return;
      [cells, next] = [[], null];
      setText(wrong, error.status === 0 ? "" : [error.message, error.hint].filter(Boolean).join(": "));
    }
    show();
  }

  async function loadMore() {
    const own = turn;
    const part = await act(more, () => page(next));
    if (!part || own !== turn) return;
    [cells, next] = [[...cells, ...part.items], part.next];
    show();
  }

  function show() {
    setText(status, cells.length === 0 ? "" : `${next === null ? "" : "the first "}${many(cells.length, "cell")}`);
    setChildren(place, cells, () => cells.map(cellPart));
    more.hidden = next === null;
  }

  return { title: "History", element, update: (changes) => changes.all && load(), leave: () => (isLeft = true) };
}

function cellPart(cell) {
  const options = Object.entries(cell.options).map(([name, value]) => `${name} ${value}`);
  const name = joined(cell.device, cell.backend, cell.precision, `threads ${cell.threads}`, `batch ${cell.batch}`, cell.scenario, cell.weights, ...options);
  const { points, changes } = cell;
  const all = points.map((point) => point.p50_ms);
  const range = `${many(points.length, "sweep")}, ${figures(Math.min(...all))} to ${figures(Math.max(...all))} ms, now ${figures(all.at(-1))} ms`;
  const left = cell.points_left_out > 0 ? `; ${many(cell.points_left_out, "older sweep")} not shown` : "";
  return h("section", { "aria-label": name }, h("h2", {}, name), h("p", {}, `${range}${left}`), chart(name, range, points, changes),
    changes.length === 0 ? h("p", { class: "muted" }, "No change is found.") : h("ul", { class: "changes" }, ...changes.map(changeLine)), pointTable(name, points));
}

function changeLine(change) {
  const when = timeElement("relative");
  setTime(when, change.at);
  const sure = change.low_percent === null ? "" : ` (${signed(change.low_percent)} to ${signed(change.high_percent)} %, p ${change.p_value < 0.0001 ? "< 0.0001" : `= ${change.p_value.toFixed(4)}`})`;
  const facts = change.changed.flatMap(factTexts).join("; ");
  const what = change.kind === "environment" ? "another environment" : change.kind;
  return h("li", { "data-kind": change.kind }, h("strong", {}, what), ` since `, linkTo("sweeps", change.sweep_id), " ", when, `: ${signed(change.percent)} %${sure}, ${figures(change.before_ms)} to ${figures(change.after_ms)} ms. `,
    h("span", { class: "muted" }, facts ? `Changed: ${facts}.` : "Nothing else is known to have changed."));
}

/** What changed, in words: of what has fields itself, those that did. */
export function factTexts({ fact, before, after }) {
  const [a, b] = [before, after].map(fieldsOf);
  if (!a || !b) return [`${fact} ${short(before)} → ${short(after)}`];
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((name) => JSON.stringify(a[name]) !== JSON.stringify(b[name]));
  const text = (value) => short(value === undefined || value === null ? null : String(value));
  return names.map((name) => `${fact} ${name} ${text(a[name])} → ${text(b[name])}`);
}

/** The fields of a text that is a JSON object of plain values, else null. */
function fieldsOf(text) {
  if (!text?.startsWith("{")) return null;
  try {
    const fields = JSON.parse(text);
    return Object.values(fields).every((value) => value === null || typeof value !== "object") ? fields : null;
  } catch {
    return null;
  }
}

function short(text) {
  if (text === null) return "unknown";
  return text.length > 40 ? `${text.slice(0, 12)}…` : text;
}

/** Where the points of a history stand: a line for each series, and a mark for each change. */
export function drawn(points, changes) {
  const all = points.map((point) => point.p50_ms);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  // What hardly moves is a straight line, not a wild one.
  const room = Math.max(high - low, high * 0.05) || 1;
  const x = (at) => (points.length < 2 ? WIDTH / 2 : (at / (points.length - 1)) * WIDTH);
  const y = (ms) => HEIGHT / 2 - ((ms - (low + high) / 2) / room) * (HEIGHT - 16);
  const series = new Map();
  points.forEach((point, at) => {
    if (!series.has(point.series)) series.set(point.series, []);
    series.get(point.series).push(`${x(at).toFixed(1)} ${y(point.p50_ms).toFixed(1)}`);
  });
  const marks = changes.flatMap((change) => {
    const at = points.findIndex((point) => point.sweep_id === change.sweep_id);
    return at < 0 ? [] : [{ x: x(at).toFixed(1), kind: change.kind }];
  });
  return { lines: [...series.values()].map((places) => `M${places.join("L")}`), marks, dots: points.map((point, at) => [x(at).toFixed(1), y(point.p50_ms).toFixed(1)]) };
}

function chart(name, range, points, changes) {
  const { lines, marks, dots } = drawn(points, changes);
  const parts = marks.map(({ x, kind }) => svg("path", { class: `change ${kind}`, d: `M${x} 0V${HEIGHT}` }));
  parts.push(...lines.map((d) => svg("path", { class: "line", d })));
  if (points.length <= 200) parts.push(...dots.map(([cx, cy]) => svg("circle", { class: "dot", cx, cy, r: 2.5 })));
  return svg("svg", { class: "history-chart", viewBox: `-4 0 ${WIDTH + 8} ${HEIGHT}`, role: "img", "aria-label": `${name}: ${range}; ${many(changes.length, "change")}` }, ...parts);
}

/** The newest first, for who wants the numbers. It is made when it is opened: of twenty cells these may be as many thousand rows. */
function pointTable(name, points) {
  const place = h("div", { class: "wide", tabindex: 0, role: "region", "aria-label": `Table of ${name}` });
  const make = () => setChildren(place, true, () => [pointRows(name, points)]);
  return h("details", { ontoggle: make }, h("summary", { onclick: make }, `${many(points.length, "sweep")} as a table`), place);
}

function pointRows(name, points) {
  const rows = [...points].reverse().map((point) => h("tr", {}, h("th", { scope: "row" }, linkTo("sweeps", point.sweep_id)), h("td", {}, absolute(Date.parse(point.at))),
    h("td", { class: "n" }, figures(point.p50_ms)), h("td", { class: "n" }, String(point.runs)), h("td", { class: "n" }, String(point.series))));
  const heads = ["Sweep", "When", "p50 ms", "Runs", "Series"].map((text, at) => h("th", { scope: "col", class: at > 1 ? "n" : null }, text));
  return h("table", { "aria-label": `Sweeps of ${name}` }, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...rows));
}
