// Two sweeps against each other: pick them, and see which cells got slower, faster, stayed the same, or can't be told.

import { get, list } from "./api.js";
import { h, setChildren, setText } from "./dom.js";
import { inUnit, many, signed, unitOf } from "./format.js";
import { act, say } from "./notices.js";
import { linkTo, setState, stateElement } from "./parts.js";
import { keepQuery } from "./router.js";
import { absolute } from "./time.js";

const STEP = 200;
/** Sweeps that are offered; any other can be typed. */
const OFFERED = 200;
const VERDICTS = ["slower", "faster", "unclear", "not comparable", "same"];

export function compareView({ query }) {
  let turn = 0;
  let isLeft = false;
  const pick = pickPart(query, load);
  const status = h("p", { class: "shown", role: "status" });
  const wrong = h("p", { class: "wrong" });
  const above = abovePart();
  const cells = cellsPart(asked);
  const element = h("div", { class: "compare" }, h("h1", {}, "Compare"), pick.element, wrong, status, ...above.elements, ...cells.elements);

  function asked(after) {
    const words = { ...pick.words(), limit: String(STEP) };
    return get(`compare?${new URLSearchParams(after === null ? words : { ...words, after })}`);
  }

  async function load() {
    const own = ++turn;
    const words = pick.words();
    if (!words.a || !words.b) return;
    keepQuery(new URLSearchParams(words));
    cells.wait();
    setText(wrong, "");
    setText(status, "Comparing …");
    try {
      const answer = await asked(null);
      if (own === turn && !isLeft) showAnswer(answer);
    } catch (error) {
      if (own === turn && !isLeft) showWrong(error);
    }
  }

  function showWrong(error) {
    setText(status, "");
    setText(wrong, error.status === 0 ? "" : [error.message, error.hint].filter(Boolean).join(": "));
    above.show({ differences: [], geomeans: [] });
    cells.clear();
  }

  function showAnswer(answer) {
    const counts = VERDICTS.filter((word) => answer.counts[word] > 0).map((word) => `${answer.counts[word]} ${word}`).join(", ");
    setText(status, answerText(answer, counts));
    above.show(answer);
    cells.show(answer);
    say(counts);
  }

  function update(changes) {
    if (!changes.all) return;
    pick.offer();
    load();
  }

  function leave() {
    isLeft = true;
    pick.leave();
  }

  return { title: "Compare", element, update, leave };
}

/** The cells, part by part: `{ elements, show(answer), clear(), wait() }`. `asked` gets the part from a place on. */
function cellsPart(asked) {
  const place = h("div", {});
  const more = h("button", { type: "button", hidden: true, onclick: loadMore }, "More cells");
  let turn = 0;
  let shown = [];
  let next = null;

  function show(answer) {
    turn += 1;
    [shown, next] = [answer.items, answer.next];
    showAll();
  }

  async function loadMore() {
    const own = turn;
    const answer = await act(more, () => asked(next));
    if (!answer || own !== turn) return;
    [shown, next] = [[...shown, ...answer.items], answer.next];
    showAll();
  }

  function showAll() {
    setChildren(place, shown, () => [cellTable(shown)]);
    more.hidden = next === null;
  }

  function clear() {
    turn += 1;
    setChildren(place, null, () => []);
    more.hidden = true;
  }

  /** Another answer is on its way: what was asked for before is no part of it. */
  function wait() {
    turn += 1;
    more.hidden = true;
  }

  return { elements: [place, more], show, clear, wait };
}

function answerText({ a, b, threshold_percent: threshold, notes }, counts) {
  return [`${a} → ${b}: ${counts || "no cells"}; less than ${threshold} % is the same.`, ...notes].join(" ");
}

/** Which two sweeps, and which of their cells: `{ element, words(), offer(), leave() }`. `changed` hears that it is to be asked. */
function pickPart(query, changed) {
  let isLeft = false;
  const [a, b] = [field("a", "Compare with"), field("b", "Sweep")];
  const verdict = h("select", { "aria-label": "Verdict", onchange: () => changed() },
    h("option", { value: "" }, "all cells"), ...VERDICTS.map((word) => h("option", { value: word }, word)));
  verdict.value = VERDICTS.includes(query.get("verdict")) ? query.get("verdict") : "";
  const offered = h("datalist", { id: "compare-sweeps" });
  const element = h("form", { class: "filters", onsubmit: (event) => {
    event.preventDefault();
    changed();
  } }, a.label, b.label, h("button", { class: "first" }, "Compare"), verdict, offered);

  function field(name, text) {
    const input = h("input", { id: `compare-${name}`, list: "compare-sweeps", value: query.get(name) ?? "", size: 34, required: true, maxlength: 200, placeholder: "latest, baseline:NAME or a sweep" });
    return { input, label: h("label", { for: `compare-${name}` }, `${text} `, input) };
  }

  function words() {
    return { a: a.input.value.trim(), b: b.input.value.trim(), ...(verdict.value ? { verdict: verdict.value } : {}) };
  }

  async function offer() {
    try {
      const sweeps = await list(`sweeps?limit=${OFFERED}`);
      const options = sweeps.map(({ id, name, started_at: at }) => h("option", { value: id }, `${name}, ${absolute(Date.parse(at))}`));
      if (!isLeft) offered.replaceChildren(...options);
    } catch {
      // They can be typed.
    }
  }

  return { element, words, offer, leave: () => (isLeft = true) };
}

/** What stands above the cells: `{ elements, show(answer) }`. */
function abovePart() {
  const differences = h("section", { "aria-label": "What differs" });
  const means = h("section", { "aria-label": "Devices" });

  function show(answer) {
    setChildren(differences, answer.differences, () => answer.differences.length === 0 ? [] : [h("h2", {}, "What differs besides"), h("ul", {}, ...answer.differences.map(differenceLine))]);
    setChildren(means, answer.geomeans, () => answer.geomeans.length === 0 ? [] : [h("h2", {}, "Devices"), h("ul", {}, ...answer.geomeans.map(meanLine))]);
  }

  return { elements: [differences, means], show };
}

function differenceLine({ what, a, b, moves_time: movesTime, cells }) {
  return h("li", {}, h("strong", {}, what), `: ${a || "not known"} → ${b || "not known"}, ${many(cells, "cell")}`, movesTime ? "; these can't be compared" : "");
}

function meanLine({ device, cells, change_percent: percent }) {
  return h("li", {}, linkTo("devices", device), `: ${signed(percent)} % (geometric mean of ${many(cells, "cell")})`);
}

const HEADS = ["Verdict", "Device", "Cell", "A", "B", "Change", "95 %", "Why"];
const NUMBERS = [3, 4, 5, 6];

function cellTable(cells) {
  if (cells.length === 0) return h("p", {}, "No cell is like that.");
  const heads = HEADS.map((text, at) => h("th", { scope: "col", class: NUMBERS.includes(at) ? "n" : null }, text));
  const table = h("table", { class: "compared", "aria-label": "Cells" }, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...cells.map(cellRow)));
  return h("div", { class: "wide", tabindex: 0, role: "region", "aria-label": "Cells, side by side" }, table);
}

function cellRow(cell) {
  const state = stateElement();
  setState(state, cell.verdict, { slower: "failed", faster: "ok", unclear: "unclear", same: "same" }[cell.verdict] ?? "skipped");
  const { model, device, backend, precision, threads, batch } = cell;
  const words = [model, backend, cell.delegate, precision, cell.weights, threads && `threads ${threads}`, `batch ${batch}`, cell.scenario];
  const history = Object.entries({ model, device, backend, precision, threads, batch }).filter(([, word]) => word);
  const unit = unitOf([cell.a.median_ms, cell.b.median_ms]);
  const number = (text) => h("td", { class: "n" }, text);
  return h("tr", { "data-verdict": cell.verdict },
    h("td", {}, state), h("td", {}, linkTo("devices", device)),
    h("th", { scope: "row" }, h("a", { href: `#/history?${new URLSearchParams(history)}` }, words.filter(Boolean).join(" "))),
    number(sideText(cell.a, unit)), number(sideText(cell.b, unit)),
    number(cell.change_percent === null ? "" : `${cell.verdict === "unclear" ? "?\u00a0" : ""}${signed(cell.change_percent)}\u00a0%`),
    number(cell.change_low_percent === null ? "" : `${signed(cell.change_low_percent)} to ${signed(cell.change_high_percent)}`),
    h("td", {}, cell.why ?? ""),
  );
}

function sideText({ median_ms: ms, plus_minus_percent: sure, runs }, unit) {
  if (ms === null) return "";
  return `${inUnit(ms, unit)}\u00a0${unit}${sure === null ? "" : ` ±\u00a0${sure.toFixed(0)}\u00a0%`}, n=${runs}`;
}
