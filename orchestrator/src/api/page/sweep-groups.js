// Cells of a sweep that are told together: those without a result by their reason, and those that are doubtful.

import { h, KeyedList, setChildren, setText } from "./dom.js";
import { failureText, joined, many } from "./format.js";
import { isDoubtful } from "./matrix.js";
import { setState, stateElement } from "./parts.js";

/** A section `{ element, show(groups) }` of groups of cells; without one it is not there. */
export function groupsPart(name, title) {
  const place = h("div", {});
  const rows = new KeyedList(place, groupRow);
  const count = h("span", {});
  const element = h("section", { "aria-labelledby": `${name}-title`, class: "failures", hidden: true }, h("h2", { id: `${name}-title` }, `${title} `, count), place);

  function show(groups) {
    rows.set(groups.map((group) => [group.key, group]));
    element.hidden = groups.length === 0;
    setText(count, `(${many(groups.reduce((sum, group) => sum + group.cells.length, 0), "cell")})`);
  }

  return { element, show };
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

function groupRow() {
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
