// One sweep: how far it is, each of its cells, what failed and why, and what is doubtful.

import { get, pathOf, post } from "./api.js";
import { confirmed } from "./dialogs.js";
import { h, setChildren, setText } from "./dom.js";
import { failureText, joined, latency, many } from "./format.js";
import { Matrix } from "./matrix.js";
import { isOver } from "./model.js";
import { act, say, tellError } from "./notices.js";
import { countsText, linkTo, progressElement, setProgress, setReports, setState, spanText, standingOf, stateElement } from "./parts.js";
import { addressOf } from "./router.js";
import { doubtGroups, failureGroups, groupsPart } from "./sweep-groups.js";
import { setTime, timeElement } from "./time.js";

/** Cells that are asked for at once. */
const STEP = 500;

export function sweepView({ model }, id) {
  const head = headPart(id, model, known);
  const cells = cellsPart(id);
  const missing = h("p", { class: "wrong" });
  const body = h("div", { class: "sweep" }, ...head.elements, ...cells.elements);
  const element = h("article", {}, head.title, missing, body);
  let isLeft = false;
  let turns = 0;
  let wasOver = null;
  /** What the daemon answered of it: the list that the page keeps has the newest sweeps only. */
  let own = null;

  /** The sweep first, then its cells, part by part: the first of them are shown before the last are read. */
  async function load() {
    const turn = ++turns;
    const isMine = () => turn === turns && !isLeft;
    cells.begin();
    try {
      own = await get(`${pathOf("sweeps", id)}?cells=false`);
      if (!isMine()) return;
      body.hidden = false;
      setText(missing, "");
      show();
      // Those of a sweep under way are one moment's.
      const whole = isOver(own) ? null : (await get(pathOf("sweeps", id))).cells;
      if (!isMine()) return;
      if (whole) return cells.add(whole, true);
      for (let after = "0"; after !== null; ) {
        const part = await get(`${pathOf("sweeps", id, "results")}?limit=${STEP}&after=${after}`);
        if (!isMine()) return;
        after = part.next;
        cells.add(part.items, after === null);
      }
    } catch (error) {
      if (!isMine()) return;
      if (error.status === 404) setText(missing, `No sweep of this lab is ${id}.`);
      else if (error.status !== 0) tellError(error);
      body.hidden = !known();
    }
  }

  /** The sweep as it was told last. */
  function known() {
    return model.sweeps.get(id) ?? own;
  }

  function show() {
    const sweep = known();
    if (!sweep) return;
    head.show(sweep);
    if (wasOver === false && isOver(sweep)) {
      say(`${sweep.name} is over: ${countsText(sweep.counts)}`);
      load(); // cells that were never run have no event of their own
    }
    wasOver = isOver(sweep);
  }

  function update(changes) {
    if (changes.all) load();
    // Which of several measurements counts is the daemon's to say.
    if (cells.take(changes.cells)) load();
    if (changes.all || changes.sweeps?.has(id) || changes.devices?.size) show();
  }

  return { title: id, element, update, leave: () => (isLeft = true) };
}

/** What stands above the cells: `{ title, elements, show(sweep) }`. `known` gives the sweep as it was told last. */
function headPart(id, model, known) {
  const name = h("span", {});
  const title = h("h1", {}, name, " ", h("small", {}, id));
  const state = stateElement();
  const started = timeElement("relative");
  const origin = h("span", {});
  const counts = h("span", { class: "counts" });
  const span = h("span", { class: "span" });
  const progress = progressElement();
  const reports = h("span", { class: "reports" });
  const cancel = h("button", { type: "button", class: "danger", onclick: cancelIt }, "Cancel");
  const retry = h("button", { type: "button", onclick: retryIt }, "Run again what failed");
  const compare = h("a", { href: `#/compare?${new URLSearchParams({ b: id })}` }, "Compare");
  const standing = h("div", { class: "standing" }, state, counts, span, h("span", { class: "muted" }, "started ", started, origin), reports, compare, retry, cancel);

  function show(sweep) {
    setText(name, sweep.name);
    setState(state, ...standingOf(sweep));
    setTime(started, sweep.started_at);
    const { ordered_by: by, schedule, file, retry_of: earlier } = sweep;
    setChildren(origin, [by, schedule, file, earlier], () => originOf(sweep));
    setText(counts, countsText(sweep.counts));
    setText(span, spanText(sweep, model.devices.values()));
    setProgress(progress, sweep);
    setReports(reports, sweep);
    cancel.hidden = isOver(sweep) || sweep.state === "ending" || !model.may("run");
    retry.hidden = !isOver(sweep) || sweep.counts.failed + sweep.counts.cancelled === 0 || !model.may("run");
  }

  async function cancelIt() {
    const sweep = known();
    const question = `Cancel ${sweep.name}? ${many(sweep.counts.open, "job")} will not be run. What is measured stays.`;
    if (!(await confirmed(question, "Cancel the sweep"))) return;
    await act(cancel, () => post(pathOf("sweeps", id, "cancel")), `${sweep.name} is cancelled`);
  }

  async function retryIt() {
    const sweep = await act(retry, () => post(pathOf("sweeps", id, "retry")), `what failed in ${known().name} is started again`);
    if (!sweep) return;
    model.apply("sweep", sweep);
    location.hash = addressOf("sweeps", sweep.id);
  }

  return { title, elements: [standing, progress], show };
}

/** The cells, the one that was chosen, and what failed or is doubtful: `{ elements, begin(), add(part, isLast), take(changed) }`. */
function cellsPart(id) {
  const place = h("div", {});
  const chosen = h("div", { class: "chosen", "aria-live": "polite" });
  const reading = h("p", { class: "shown", role: "status" });
  const failures = groupsPart("failures", "Without a result");
  const doubts = groupsPart("doubts", "Doubtful");
  /** The cells by their jobs, once they are loaded. Those that change before that are kept for then. */
  let cells = null;
  let read = [];
  let early = [];
  let matrix = null;

  /** All cells are to be read. What is shown stays until then. */
  function begin() {
    cells = null;
    read = [];
  }

  /** Some more cells were read. The first are shown at once, where there was nothing, and all when the last are there. */
  function add(part, isLast) {
    read.push(...part);
    setText(reading, isLast ? "" : `${many(read.length, "cell")} so far …`);
    if (isLast) {
      cells = new Map(read.map((cell) => [cell.job_id, cell]));
      for (const cell of early) cells.set(cell.job_id, { ...cells.get(cell.job_id), ...cell });
      [read, early] = [[], []];
      showCells([...cells.values()]);
    } else if (matrix === null) {
      showCells(read);
    }
  }

  function showCells(all) {
    matrix = new Matrix(new Set(all.map((cell) => cell.device)), all, showChosen);
    const scroll = place.firstElementChild?.scrollLeft ?? 0;
    place.replaceChildren(matrix.element);
    matrix.element.scrollLeft = scroll;
    doubts.show(doubtGroups(all));
    failures.show(failureGroups(all));
  }

  /** Takes in the cells of this sweep that have changed; says whether all are to be loaded anew. */
  function take(changed) {
    const ours = [...changed.values()].filter((cell) => cell.sweep_id === id);
    if (ours.length === 0) return false;
    if (cells === null) {
      early.push(...ours);
      return false;
    }
    for (const cell of ours) {
      cells.set(cell.job_id, { ...cells.get(cell.job_id), ...cell });
      matrix.update(cell);
    }
    showGroups();
    return ours.some((cell) => cell.rerun && cell.p50_ms);
  }

  function showGroups() {
    const all = [...cells.values()];
    doubts.show(doubtGroups(all));
    failures.show(failureGroups(all));
  }

  function showChosen(jobs) {
    setChildren(chosen, jobs, () => jobs.map(chosenLine));
  }

  return { elements: [reading, place, chosen, failures.element, doubts.element], begin, add, take };
}

/** Who began a sweep, and of which file it is. */
function originOf({ ordered_by: by, schedule, file, retry_of: earlier }) {
  return [
    schedule && by ? ` by ${by}, as schedule ${schedule} does` : schedule ? ` by schedule ${schedule}` : by ? ` by ${by}` : null,
    file ? ` from ${file}` : null,
    earlier ? ", what failed in " : null,
    earlier ? linkTo("sweeps", earlier) : null,
  ];
}

/** «all (2)»: what was asked for, and what that was on the device. */
function threadsText({ threads, threads_used: used }) {
  return used && String(used) !== threads ? `${threads} (${used})` : threads;
}

/** Where the cell's numbers of all sweeps are. */
function historyLink({ model, device, backend, precision, threads, batch }) {
  const known = Object.entries({ model, device, backend, precision, threads, batch }).filter(([, word]) => word);
  return h("a", { href: `#/history?${new URLSearchParams(known)}` }, "history");
}

function chosenLine(cell) {
  const state = stateElement();
  setState(state, cell.state);
  const how = joined(cell.model, cell.backend, cell.precision, cell.threads && `threads ${threadsText(cell)}`, cell.batch && `batch ${cell.batch}`, `repeat ${cell.repeat}`, cell.rerun ? `again ${cell.rerun}` : null);
  const known = (value) => value !== null && value !== undefined;
  const sure = known(cell.plus_minus_percent) ? ` ± ${cell.plus_minus_percent.toFixed(1)} %` : "";
  const time = known(cell.p50_ms) ? ` p50 ${latency(cell.p50_ms)}${sure}` : "";
  const doubt = cell.state === "ok" && cell.verdict && cell.verdict !== "ok" ? `${cell.verdict}: ${cell.verdict_reason ?? ""} ` : "";
  const standing = cell.state === "ok" && cell.counts === false ? "does not count: it was measured again " : "";
  return h("p", {}, state, " ", linkTo("devices", cell.device), ` ${how}${time} `, doubt, standing, failureText(cell.failure), " ", historyLink(cell), " ", h("code", { class: "muted" }, cell.job_id));
}
