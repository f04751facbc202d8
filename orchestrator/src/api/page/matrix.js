// The cells of a sweep: devices down, networks and how they are run across.

import { h, setAttribute, setText } from "./dom.js";
import { byName, failureText, inUnit, joined, latency, many, unitOf } from "./format.js";
import { linkTo } from "./parts.js";

const AXES = [
  ["weights", (value) => value],
  ["backend", (value) => value],
  ["precision", (value) => value],
  ["threads", (value) => (value === "1" ? "1 thread" : `${value} threads`)],
  ["scenario", (value) => value.replaceAll("_", " ")],
  ["batch", (value) => `batch ${value}`],
];
/** Of several repeats in one place, the one that a person must see first. */
const FIRST = ["running", "failed", "cancelled", "skipped", "waiting", "ok"];
const MARKS = { waiting: "·", running: "▶", failed: "✕", skipped: "–", cancelled: "⊘" };
/** Stands behind a number that may not be right. */
const DOUBT = "?";
const MEANINGS = Object.entries(MARKS).map(([state, mark]) => `${mark} ${state}`).join(", ");

/** The columns that cells need: a model each, and within it what differs within the sweep. */
export function columnsOf(cells) {
  const differing = AXES.filter(([axis]) => new Set(cells.map((cell) => cell[axis])).size > 1);
  const labelOf = (cell) => joined(...differing.map(([axis, label]) => (cell[axis] === null ? null : label(cell[axis]))));
  const columns = new Map();
  for (const cell of cells) {
    const label = labelOf(cell);
    columns.set(keyOf(cell.model, label), { key: keyOf(cell.model, label), model: cell.model, label });
  }
  const models = [...new Set(cells.map((cell) => cell.model))]; // in the order of the sweep
  const ordered = models.flatMap((model) => [...columns.values()].filter((column) => column.model === model));
  return { columns: ordered, columnOf: (cell) => keyOf(cell.model, labelOf(cell)) };
}

function keyOf(...parts) {
  return JSON.stringify(parts);
}

/** Whether a cell's number is doubtful. */
export function isDoubtful(cell) {
  return cell.counts !== false && cell.state === "ok" && Boolean(cell.verdict) && cell.verdict !== "ok";
}

/**
 * What one place of the matrix shows: the state that matters most, the median of p50 of the repeats that have one, and
 * the verdict on the first of these that is doubtful. Of what was measured again only what counts, but for what is
 * still to be measured.
 */
export function summary(cells) {
  const counting = cells.filter((cell) => cell.counts !== false);
  const shown = cells.filter((cell) => cell.counts !== false || cell.state === "running" || cell.state === "waiting");
  const state = FIRST.find((one) => shown.some((cell) => cell.state === one)) ?? cells[0].state;
  const times = counting.map((cell) => cell.p50_ms).filter((time) => time !== null && time !== undefined);
  times.sort((a, b) => a - b);
  const doubt = counting.find(isDoubtful)?.verdict ?? null;
  return { state, p50: times.length > 0 ? times[Math.floor((times.length - 1) / 2)] : null, doubt };
}

/** A grid that is walked by the arrow keys. `chosen(cells)` hears which place has the focus. */
export class Matrix {
  #columns;
  #columnOf;
  #chosen;
  #places = new Map();
  #placeOfJob = new Map();
  #current = null;
  #unit = "ms";
  #caption = h("caption", {});

  constructor(devices, cells, chosen) {
    ({ columns: this.#columns, columnOf: this.#columnOf } = columnsOf(cells));
    this.#chosen = chosen;
    for (const cell of cells) this.#place(cell).jobs.set(cell.job_id, cell);
    this.element = h("div", { class: "wide" },
      h("table", { class: "matrix", role: "grid", "aria-label": "Cells by device and model", "aria-readonly": true }, this.#caption, this.#head(), this.#body(devices)),
    );
    this.element.addEventListener("keydown", (event) => this.#walk(event));
    this.element.addEventListener("focusin", (event) => this.#focused(event.target));
    this.#showAll();
  }

  /** Figures of one matrix are of one unit, which its caption names. */
  #showAll() {
    const all = [...this.#places.values()];
    this.#unit = unitOf(all.flatMap(({ jobs }) => [...jobs.values()].map((cell) => cell.p50_ms)));
    setText(this.#caption, `Median latency of one inference (p50), ${this.#unit}; of repeats their median. ${MEANINGS}, ${DOUBT} doubtful`);
    for (const place of all) this.#show(place);
  }

  /** A cell has changed. Gives the cells of its place when that has the focus. */
  update(cell) {
    // What is measured again is a job that was not there before.
    const place = this.#placeOfJob.get(cell.job_id) ?? this.#joined(cell);
    if (!place) return;
    place.jobs.set(cell.job_id, { ...place.jobs.get(cell.job_id), ...cell });
    const isOfUnit = cell.p50_ms === null || cell.p50_ms === undefined || unitOf([cell.p50_ms]) === this.#unit;
    if (isOfUnit) this.#show(place);
    else this.#showAll();
    if (place.element === this.#current) this.#chosen([...place.jobs.values()]);
  }

  #joined(cell) {
    const place = this.#places.get(keyOf(cell.device, this.#columnOf(cell)));
    if (place) this.#placeOfJob.set(cell.job_id, place);
    return place;
  }

  #place(cell) {
    const key = keyOf(cell.device, this.#columnOf(cell));
    let place = this.#places.get(key);
    if (!place) {
      place = { jobs: new Map(), element: h("td", { role: "gridcell", tabindex: -1 }) };
      this.#places.set(key, place);
    }
    this.#placeOfJob.set(cell.job_id, place);
    return place;
  }

  #head() {
    const models = new Map();
    for (const { model } of this.#columns) models.set(model, (models.get(model) ?? 0) + 1);
    const hasLabels = this.#columns.some((column) => column.label);
    const corner = h("th", { scope: "col", role: "columnheader", rowspan: hasLabels ? 2 : null }, "Device");
    const first = [...models].map(([model, span]) =>
      h("th", { scope: "colgroup", role: "columnheader", colspan: span, class: "model", title: model }, model),
    );
    const second = this.#columns.map(({ label }) => h("th", { scope: "col", role: "columnheader", title: label }, label));
    const rows = [h("tr", { role: "row" }, corner, ...first)];
    if (hasLabels) rows.push(h("tr", { role: "row" }, ...second));
    return h("thead", { role: "rowgroup" }, ...rows);
  }

  #body(devices) {
    const rows = [...devices].sort(byName).map((device) => {
      const places = this.#columns.map(
        ({ key }) => this.#places.get(keyOf(device, key))?.element ?? h("td", { role: "gridcell", tabindex: -1, class: "none", "aria-label": "no such cell" }),
      );
      return h("tr", { role: "row", "data-row": "" }, h("th", { scope: "row", role: "rowheader" }, linkTo("devices", device)), ...places);
    });
    rows[0]?.querySelector("td")?.setAttribute("tabindex", "0");
    return h("tbody", { role: "rowgroup" }, ...rows);
  }

  #show({ jobs, element }) {
    const cells = [...jobs.values()];
    const { state, p50, doubt } = summary(cells);
    const repeats = cells.filter((cell) => !cell.rerun).length;
    setAttribute(element, "data-state", state);
    setAttribute(element, "data-verdict", doubt);
    const time = doubt ? `${inUnit(p50, this.#unit)}\u00a0${DOUBT}` : inUnit(p50, this.#unit);
    setText(element, state === "ok" || (p50 !== null && state === "running") ? time : MARKS[state] ?? state);
    const words = joined(state, p50 !== null ? latency(p50) : null, doubt && `doubtful: ${doubt}`, repeats > 1 ? many(repeats, "repeat") : null);
    setAttribute(element, "aria-label", words);
    const why = cells.map((cell) => failureText(cell.failure)).find(Boolean) ?? cells.filter(isDoubtful).map((cell) => cell.verdict_reason).find(Boolean);
    setAttribute(element, "title", joined(words, why));
  }

  #focused(element) {
    if (element.role !== "gridcell") return;
    this.element.querySelector("td[tabindex='0']")?.setAttribute("tabindex", "-1");
    element.setAttribute("tabindex", "0");
    this.#current = element;
    const place = [...this.#places.values()].find((one) => one.element === element);
    this.#chosen(place ? [...place.jobs.values()] : []);
  }

  #walk(event) {
    const cell = event.target;
    if (cell.role !== "gridcell" || event.ctrlKey || event.altKey || event.metaKey) return;
    const row = cell.parentElement;
    const sideways = { ArrowLeft: cell.previousElementSibling, ArrowRight: cell.nextElementSibling, Home: row.children[1], End: row.lastElementChild };
    const otherRow = { ArrowUp: row.previousElementSibling, ArrowDown: row.nextElementSibling }[event.key];
    const next = sideways[event.key] ?? otherRow?.children[cell.cellIndex];
    if (next?.role !== "gridcell") return;
    next.focus();
    event.preventDefault();
  }
}
