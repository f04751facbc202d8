// How far a device's numbers can be trusted, and how that went over time: two pictures of the same weeks or days, and a table.

import { get, pathOf } from "./api.js";
import { h, setChildren, setText } from "./dom.js";
import { figures, joined, many, percent } from "./format.js";
import { svg } from "./svg.js";

/** It is read again when something happens, but not sooner. */
const EVERY_MS = 60_000;
const DAY_MS = 86_400_000;
/** Size of a picture in its own units. Its width is that of its place. */
const WIDTH = 600;
const HEIGHT = 80;
/** Widest bar: of one week it would be a wall. */
const MOST_BAR = 30;
const LENGTHS = { week: 7 * DAY_MS, day: DAY_MS };

/** A section `{ element, update(changes), leave() }` on the trust in a device. */
export function trustPart(device) {
  const said = h("p", {}, "…");
  const standsOut = h("div", {});
  const by = h("select", { id: "trust-by", onchange: () => read() }, ...Object.keys(LENGTHS).map((length) => h("option", { value: length }, `by ${length}`)));
  const pictures = h("div", { class: "pictures" });
  const element = h("section", { class: "wide trust", "aria-labelledby": "trust-title" },
    h("h2", { id: "trust-title" }, "Trust over time"), said, standsOut,
    h("p", {}, h("label", { for: "trust-by" }, "Shown "), by), pictures);
  let readAtMs = -Infinity;
  let turn = 0;
  let isKnown = false;

  async function read() {
    const own = ++turn;
    readAtMs = performance.now();
    try {
      const query = new URLSearchParams({ by: by.value });
      const [now, overTime] = await Promise.all([get(pathOf("devices", device, "trust")), get(`${pathOf("devices", device, "trust", "periods")}?${query}`)]);
      if (own !== turn) return;
      isKnown = true;
      setText(said, trustText(now));
      setChildren(standsOut, now.stands_out, () => (now.stands_out.length === 0 ? [] : [h("ul", { "aria-label": "What stands out" }, ...now.stands_out.map((text) => h("li", {}, text)))]));
      setChildren(pictures, overTime, () => picturesOf(overTime));
    } catch (error) {
      // What was there before stays: that the daemon is gone is told elsewhere.
      if (own === turn && !isKnown) setText(said, `Not known: ${error.message}.`);
    }
  }

  function update(changes) {
    if (changes.all || performance.now() - readAtMs > EVERY_MS) read();
  }

  return { element, update, leave: () => (turn += 1) };
}

/** What the newest runs of a device say of it, in a sentence. */
export function trustText({ runs, pairs, pairs_within: within, within_percent: apart, judged, doubtful, siblings, slower_percent: slower }) {
  if (runs === 0) return "Nothing was measured on it yet.";
  const repeats = apart === null ? "nothing was measured twice on it" : `its runs repeat within ${figures(apart)} % in ${within} of ${many(pairs, "pair")}`;
  const doubts = judged === 0 ? "" : `${doubtful} of ${judged} are doubtful`;
  const others = slower === null ? "" : `${figures(Math.abs(slower))} % ${slower < 0 ? "quicker" : "slower"} than ${siblings === 1 ? "its sibling" : `its ${siblings} siblings`}`;
  return `Of the newest ${many(runs, "run")}: ${joined(repeats, doubts, others)}.`;
}

/** Where the periods stand: a place from 0 to 1 for each, by time, so that a gap is a gap; and how wide one is. */
export function placed(periods, by) {
  const number = ({ first_day: day }) => Math.round(Date.parse(day) / LENGTHS[by]);
  const all = periods.map(number);
  const count = all.at(-1) - all[0] + 1;
  return { width: 1 / count, periods: periods.map((period, at) => ({ ...period, x: (all[at] - all[0] + 0.5) / count, isNext: at > 0 && all[at] === all[at - 1] + 1 })) };
}

/** The least of 1, 2, 5, 10, 20, … that is not below. */
export function roundUp(value) {
  if (!(value > 0)) return 1;
  const ten = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * ten).find((most) => most >= value * (1 - 1e-9));
}

function picturesOf({ by, periods }) {
  if (periods.length === 0) return [h("p", { class: "muted" }, "It has no runs to show.")];
  const { width, periods: known } = placed(periods, by);
  const apart = known.filter((period) => period.within_percent !== null);
  const judged = known.filter((period) => period.judged > 0);
  const span = h("p", { class: "ends muted", "aria-hidden": "true" }, h("span", {}, periods[0].first_day), h("span", {}, periods.length > 1 ? periods.at(-1).first_day : ""));
  return [
    picture("Runs repeat within", "nine of ten pairs, less is better", rangeText(apart.map((period) => period.within_percent), by), roundUp(Math.max(...apart.map((period) => period.within_percent))), lineOf(apart)),
    picture("Doubtful runs", "share of those that were judged", rangeText(judged.map((period) => share(period)), by), 100, barsOf(judged, width)),
    span,
    periodTable(by, periods),
  ];
}

function share({ doubtful, judged }) {
  return (100 * doubtful) / judged;
}

/** «0.8 to 4.1 %, 1.2 % in the last week». */
export function rangeText(values, by) {
  if (values.length === 0) return "not known";
  const [low, high] = [Math.min(...values), Math.max(...values)].map(figures);
  if (values.length === 1) return `${low} %`;
  return `${low === high ? low : `${low} to ${high}`} %, ${figures(values.at(-1))} % in the last ${by} with runs`;
}

/** A picture with what it is of above, and the ends of its scale beside it. `draw` gets where a value stands. */
function picture(what, how, range, most, draw) {
  const y = (value) => (HEIGHT - 6 - (Math.min(value, most) / most) * (HEIGHT - 12)).toFixed(1);
  const image = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${what}: ${range}` },
    ...[0, most / 2, most].map((value) => svg("path", { class: "scale", d: `M0 ${y(value)}H${WIDTH}` })), ...draw(y));
  return h("figure", {},
    h("figcaption", {}, h("strong", {}, what), ` (${how}): ${range}`),
    h("div", { class: "plot" }, h("div", { class: "ticks muted", "aria-hidden": "true" }, h("span", {}, `${figures(most)} %`), h("span", {}, "0 %")), image));
}

/** A line through periods that follow each other, and a dot for each. */
function lineOf(periods) {
  return (y) => {
    const at = ({ x, within_percent: value }) => `${(x * WIDTH).toFixed(1)} ${y(value)}`;
    const line = periods.map((period, index) => `${index > 0 && period.isNext ? "L" : "M"}${at(period)}`).join("");
    return periods.length === 0 ? [] : [svg("path", { class: "line", d: line }), svg("path", { class: "dots", d: periods.map((period) => `M${at(period)}h0`).join("") })];
  };
}

function barsOf(periods, width) {
  return (y) => periods.filter(({ doubtful }) => doubtful > 0).map((period) => {
    const top = +y(share(period));
    const wide = Math.min(MOST_BAR, width * WIDTH * 0.8);
    return svg("rect", { class: "bar", x: (period.x * WIDTH - wide / 2).toFixed(1), y: top, width: wide.toFixed(1), height: (+y(0) - top).toFixed(1) });
  });
}

/** The newest first, for who wants the numbers. */
function periodTable(by, periods) {
  const title = by === "week" ? "Week of" : "Day";
  const rows = [...periods].reverse().map((period) => h("tr", {}, h("th", { scope: "row" }, period.first_day),
    ...[period.within_percent === null ? "" : `${figures(period.within_percent)} %`, period.pairs === 0 ? "" : `${period.pairs_within} of ${period.pairs}`,
      period.judged === 0 ? "" : `${period.doubtful} of ${period.judged}`, period.judged === 0 ? "" : percent(period.doubtful / period.judged), String(period.runs)].map((text) => h("td", { class: "n" }, text))));
  const heads = [title, "Within", "Pairs", "Doubtful", "Share", "Runs"].map((text, at) => h("th", { scope: "col", class: at > 0 ? "n" : null }, text));
  const table = h("table", { "aria-label": `Trust by ${by}` }, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...rows));
  return h("details", {}, h("summary", {}, `${many(periods.length, by)} as a table`), h("div", { class: "wide", tabindex: 0, role: "region", "aria-label": `Table of trust by ${by}` }, table));
}
