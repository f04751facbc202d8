// What the time of a device, or of all of them, went into over the last days: a bar, and the same in figures.

import { get } from "./api.js";
import { h, setChildren, setText } from "./dom.js";
import { fixed, joined, many, percent } from "./format.js";

const DAYS = 7;
/** It is read again when something happens, but not sooner. */
const EVERY_MS = 60_000;
const SHARES = ["busy", "idle", "locked", "broken", "out_of_service", "not_known"];

/** A section `{ element, update(changes) }` with the figures at this path of the API. It has its place before they are there. */
export function utilisationPart(path) {
  const bar = h("div", { class: "shares", "aria-hidden": "true" }, ...SHARES.map((share) => h("i", { class: share })));
  const shares = h("ul", { class: "legend", "aria-label": "Shares of the time" });
  const work = h("p", { class: "muted" });
  const title = h("h2", { id: "use-title" }, `Last ${DAYS} days`);
  const element = h("section", { class: "use", "aria-labelledby": "use-title" }, title, bar, shares, work);
  let readAtMs = -Infinity;
  let isKnown = false;
  showShares(() => "–");

  function showShares(of) {
    const told = SHARES.map((share) => [share, of(share)]);
    setChildren(shares, told, () => told.map(([share, value]) => h("li", { class: share }, `${share.replaceAll("_", " ")} `, h("b", {}, value))));
  }

  function show(figures) {
    isKnown = true;
    SHARES.forEach((share, at) => (bar.children[at].style.width = `${100 * figures[share]}%`));
    showShares((share) => percent(figures[share]));
    setText(work, workText(figures));
  }

  async function read() {
    readAtMs = performance.now();
    try {
      show(await get(`${path}?days=${DAYS}`));
    } catch (error) {
      // Figures of before stay: that the daemon is gone is told elsewhere.
      if (!isKnown) setText(work, `Not known: ${error.message}.`);
    }
  }

  function update(changes) {
    if (changes.all || performance.now() - readAtMs > EVERY_MS) read();
  }

  return { element, update };
}

/** What was done in the time, and what share of it failed and how. */
export function workText({ jobs_per_day: jobs, attempts, failed, failed_by_kind: kinds }) {
  if (attempts === 0) return "No job was tried.";
  const done = `${fixed(jobs, jobs < 10 ? 1 : 0)} ${jobs === 1 ? "job" : "jobs"} a day`;
  if (failed === 0) return joined(done, attempts === 1 ? "the 1 attempt did not fail" : `none of ${many(attempts, "attempt")} failed`);
  const worstFirst = Object.entries(kinds).sort(([, a], [, b]) => b - a);
  const byKind = worstFirst.map(([kind, share]) => `${kind.replaceAll("_", " ")} ${percent(share)}`).join(", ");
  return joined(done, `${percent(failed)} of ${many(attempts, "attempt")} failed: ${byKind}`);
}
