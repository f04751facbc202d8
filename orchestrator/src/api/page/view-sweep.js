// One sweep: how far it is, each of its cells, what failed and why, and what is doubtful.

import { get, pathOf, post } from "./api.js";
import { confirmed } from "./dialogs.js";
import { h, KeyedList, setChildren, setText } from "./dom.js";
import { failureText, joined, latency, many } from "./format.js";
import { isDoubtful, Matrix } from "./matrix.js";
import { isOver } from "./model.js";
import { act, say, tellError } from "./notices.js";
import { countsText, linkTo, progressElement, setProgress, setReports, setState, spanText, standingOf, stateElement } from "./parts.js";
import { addressOf } from "./router.js";
import { setTime, timeElement } from "./time.js";

export function sweepView({ model }, id) {
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
  const missing = h("p", { class: "wrong" });
  const place = h("div", {});
  const chosen = h("div", { class: "chosen", "aria-live": "polite" });
  const failureList = h("div", {});
  const failureRows = new KeyedList(failureList, failureRow);
  const failureCount = h("span", {});
  const failures = h("section", { "aria-labelledby": "failures-title", class: "failures" }, h("h2", { id: "failures-title" }, "Without a result ", failureCount), failureList);
  const doubtList = h("div", {});
  const doubtRows = new KeyedList(doubtList, failureRow);
  const doubtCount = h("span", {});
  const doubts = h("section", { "aria-labelledby": "doubts-title", class: "failures" }, h("h2", { id: "doubts-title" }, "Doubtful ", doubtCount), doubtList);
  const body = h("div", { class: "sweep" },
    h("div", { class: "standing" }, state, counts, span, h("span", { class: "muted" }, "started ", started, origin), reports, compare, retry, cancel),
    progress,
    place,
    chosen,
    failures,
    doubts,
  );
  const view = { title: id, element: h("article", {}, title, missing, body), update, leave: () => (isLeft = true) };
  /** The cells by their jobs, once they are loaded. Those that change before that are kept for then. */
  let cells = null;
  let early = [];
  let matrix = null;
  let isLeft = false;
  let wasOver = null;
  /** What the daemon answered of it: the list that the page keeps has the newest sweeps only. */
  let own = null;

  async function load() {
    cells = null;
    let loaded;
    try {
      loaded = await get(pathOf("sweeps", id));
    } catch (error) {
      if (error.status === 404) setText(missing, `No sweep of this lab is ${id}.`);
      else if (error.status !== 0) tellError(error);
      body.hidden = !known();
      return;
    }
    if (isLeft) return;
    body.hidden = false;
    setText(missing, "");
    const { cells: all, devices, ...sweep } = loaded;
    cells = new Map(all.map((cell) => [cell.job_id, cell]));
    for (const cell of early) cells.set(cell.job_id, { ...cells.get(cell.job_id), ...cell });
    early = [];
    matrix = new Matrix(devices, [...cells.values()], showChosen);
    const scroll = place.firstElementChild?.scrollLeft ?? 0;
    place.replaceChildren(matrix.element);
    matrix.element.scrollLeft = scroll;
    showFailures();
    own = sweep;
    show();
  }

  /** The sweep as it was told last. */
  function known() {
    return model.sweeps.get(id) ?? own;
  }

  function show() {
    const sweep = known();
    if (!sweep) return;
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
    if (wasOver === false && isOver(sweep)) {
      say(`${sweep.name} is over: ${countsText(sweep.counts)}`);
      load(); // cells that were never run have no event of their own
    }
    wasOver = isOver(sweep);
  }

  function takeCells(changed) {
    const ours = [...changed.values()].filter((cell) => cell.sweep_id === id);
    if (ours.length === 0) return;
    if (cells === null) {
      early.push(...ours);
      return;
    }
    for (const cell of ours) {
      cells.set(cell.job_id, { ...cells.get(cell.job_id), ...cell });
      matrix.update(cell);
    }
    showFailures();
    // Which of several measurements counts is the daemon's to say.
    if (ours.some((cell) => cell.rerun && cell.p50_ms)) load();
  }

  function showFailures() {
    const doubtful = doubtGroups([...cells.values()]);
    doubtRows.set(doubtful.map((group) => [group.key, group]));
    doubts.hidden = doubtful.length === 0;
    setText(doubtCount, `(${many(doubtful.reduce((sum, group) => sum + group.cells.length, 0), "cell")})`);
    const groups = failureGroups([...cells.values()]);
    failureRows.set(groups.map((group) => [group.key, group]));
    failures.hidden = groups.length === 0;
    setText(failureCount, `(${many(groups.reduce((sum, group) => sum + group.cells.length, 0), "cell")})`);
  }

  function showChosen(jobs) {
    setChildren(chosen, jobs, () => jobs.map(chosenLine));
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

  function update(changes) {
    if (changes.all) load();
    takeCells(changes.cells);
    if (changes.all || changes.sweeps?.has(id) || changes.devices?.size) show();
  }

  return view;
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

/** Cells without a result, those of one reason together, whatever device it happened to. */
export function failureGroups(cells) {
  const groups = new Map();
  for (const cell of cells) {
    if (!["failed", "skipped", "cancelled"].includes(cell.state)) continue;
    const of = (text) => failureText(text).replace(`${cell.state}: `, "") || "no reason is known";
    const [why, ofAny] = [of(cell.failure), of(cell.failure_of_any ?? cell.failure)];
    const key = `${cell.state}\n${ofAny}`;
    const hint = cell.state === "failed" ? cell.remedy ?? null : null;
    if (!groups.has(key)) groups.set(key, { key, state: cell.state, why, hint, device: cell.device, cells: [] });
    const group = groups.get(key);
    if (group.device !== cell.device) group.why = ofAny;
    if (group.hint !== hint) group.hint = null;
    group.cells.push(joined(cell.device, cell.model, cell.backend, cell.precision));
  }
  const order = ["failed", "skipped", "cancelled"];
  return [...groups.values()].sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state) || b.cells.length - a.cells.length);
}

/** Cells with a number that may not be right, those of one verdict together. */
export function doubtGroups(cells) {
  const groups = new Map();
  for (const cell of cells.filter(isDoubtful)) {
    if (!groups.has(cell.verdict)) groups.set(cell.verdict, { key: cell.verdict, state: cell.verdict, why: "", hint: null, cells: [] });
    const line = joined(cell.device, cell.model, cell.backend, cell.precision, `repeat ${cell.repeat}`);
    groups.get(cell.verdict).cells.push(`${line}: ${cell.verdict_reason ?? ""}`);
  }
  return [...groups.values()].sort((a, b) => b.cells.length - a.cells.length);
}

function failureRow() {
  const state = stateElement();
  const why = h("span", {});
  const count = h("b", {});
  const hint = h("p", {});
  const cells = h("ul", {});
  return {
    element: h("details", {}, h("summary", {}, state, " ", why, " ", count), hint, cells),
    update(group) {
      setState(state, group.state);
      setText(why, group.why);
      setText(count, `(${group.cells.length})`);
      setText(hint, group.hint ? `Remedy: ${group.hint}` : "");
      setChildren(cells, group.cells, () => group.cells.map((cell) => h("li", {}, cell)));
    },
  };
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
