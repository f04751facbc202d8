// Pieces that several views show.

import { reportAddress } from "./api.js";
import { h, setAttribute, setChildren, setText } from "./dom.js";
import { byName, joined, many } from "./format.js";
import { expectedEndMs, isOver } from "./model.js";
import { addressOf } from "./router.js";
import { duration, nowMs } from "./time.js";

/** A state as a word with a mark, for `setState`. */
export function stateElement() {
  return h("span", { class: "state" });
}

export function setState(element, state, mark = state) {
  setAttribute(element, "data-state", mark);
  setText(element, state.replaceAll("_", " "));
}

/** The state of a sweep with the mark for it: one that is over is well only where nothing failed. */
export function standingOf({ state, counts }) {
  if (state !== "finished") return [state, state];
  if (counts.failed > 0) return [state, "failed"];
  return [state, counts.ok > 0 ? "finished" : "skipped"];
}

/** How far a sweep is, as a bar of what came of its jobs. */
export function progressElement() {
  return h("div", { class: "progress", role: "progressbar", "aria-valuemin": 0 }, ...ENDS.map((end) => h("i", { class: end })));
}

const ENDS = ["ok", "failed", "skipped", "cancelled"];

export function setProgress(element, sweep) {
  const { open } = sweep.counts;
  const cells = cellCount(sweep.counts);
  setAttribute(element, "aria-label", `Cells of ${sweep.name}`);
  setAttribute(element, "aria-valuemax", cells);
  setAttribute(element, "aria-valuenow", cells - open);
  setAttribute(element, "aria-valuetext", `${cells - open} of ${many(cells, "cell")} done`);
  ENDS.forEach((end, at) => {
    const width = `${cells ? (100 * sweep.counts[end]) / cells : 0}%`;
    if (element.children[at].style.width !== width) element.children[at].style.width = width;
  });
}

/** Cells of the matrix. Not each is a job: one that can't run is skipped without ever being one. */
function cellCount(counts) {
  return counts.open + ENDS.reduce((sum, end) => sum + counts[end], 0);
}

/** What came of the cells of a sweep, in words. */
export function countsText(counts) {
  const parts = ENDS.filter((end) => counts[end] > 0).map((end) => `${counts[end]} ${end}`);
  const cells = cellCount(counts);
  return joined(...parts, counts.open > 0 ? `${counts.open} of ${cells} to do` : many(cells, "cell"));
}

/** How long a sweep took, or will go on for. */
export function spanText(sweep, devices) {
  if (isOver(sweep)) return `took ${duration((Date.parse(sweep.finished_at) - Date.parse(sweep.started_at)) / 1000)}`;
  const end = expectedEndMs(sweep, devices, nowMs());
  if (end === null) return "";
  return `about ${duration((end - nowMs()) / 1000)} left`;
}

/** Links to the reports of a sweep: the page first, then the results by their form, then what else there is. */
export function setReports(element, sweep, { onlyResults = false } = {}) {
  const isWanted = (file) => !onlyResults || file === "index.html" || file.startsWith("results.");
  const files = sweep.reports.filter(isWanted).sort((a, b) => rankOf(a) - rankOf(b) || byName(a, b));
  setChildren(element, [sweep.id, files], () =>
    files.flatMap((file, at) => [
      at ? " " : null,
      h("a", { href: reportAddress(sweep.id, file), class: "report", title: `${file} of ${sweep.id}` }, labelOf(file)),
    ]),
  );
}

function rankOf(file) {
  return file === "index.html" ? 0 : file.startsWith("results.") ? 1 : 2;
}

function labelOf(file) {
  return file === "index.html" ? "report" : file.replace(/^results\./, "");
}

/** A link to a sweep or a device. */
export function linkTo(kind, name, text = name) {
  return h("a", { href: addressOf(kind, name) }, text);
}
