// The lab: what is wrong, what runs, and every device.

import { pathOf, post } from "./api.js";
import { deviceList } from "./device-list.js";
import { h, KeyedList, setChildren, setText } from "./dom.js";
import { signed } from "./format.js";
import { isOver, newestFirst } from "./model.js";
import { act } from "./notices.js";
import { countsText, linkTo, progressElement, setProgress, spanText } from "./parts.js";
import { setTime, timeElement } from "./time.js";
import { utilisationPart } from "./utilisation.js";

export function overviewView({ model, query }) {
  const lab = labPart(model);
  const running = runningPart(model);
  const utilisation = utilisationPart("utilisation");
  const devices = deviceList({ model, query });
  const element = h("div", { class: "overview" },
    h("h1", { class: "unseen" }, "Devices"),
    lab.troubles,
    lab.slower,
    h("section", { "aria-label": "What runs" }, running.element, lab.next),
    utilisation.element,
    ...devices.elements,
  );

  function update(changes) {
    utilisation.update(changes);
    if (changes.all || changes.lab) lab.show();
    if (changes.all || changes.sweeps?.size || changes.devices?.size) running.show();
    devices.update(changes);
  }

  return { title: "Devices", element, update };
}

/** What is wrong with the lab, what got slower, and what is due next: `{ troubles, slower, next, show() }`. */
function labPart(model) {
  const troubles = h("div", { class: "troubles", role: "alert" });
  const slower = h("section", { class: "slower", "aria-label": "What got slower" });
  const next = h("p", { class: "next" });

  function show() {
    const { status } = model.lab;
    setChildren(troubles, status.troubles, () => status.troubles.map((trouble) => h("p", {}, trouble)));
    const regressions = model.lab.regressions ?? [];
    setChildren(slower, [regressions, model.may("run")], () => regressions.map((one) => slowerLine(one, model)));
    slower.hidden = regressions.length === 0;
    setChildren(next, status.next, () => nextWords(status.next));
  }

  return { troubles, slower, next, show };
}

function nextWords(next) {
  if (!next) return ["Nothing is due."];
  const at = timeElement("relative");
  setTime(at, next.at);
  const clock = timeElement("clock");
  setTime(clock, next.at);
  return ["Next: ", h("a", { href: "#/schedules" }, next.schedule), " ", at, " (", clock, ")"];
}

/** A cell that got slower, with the button that makes that its new level. */
function slowerLine({ id, cell, percent, low_percent, high_percent, since, against }, model) {
  const size = `${signed(percent)} % (${signed(low_percent)} to ${signed(high_percent)} %)`;
  const acknowledge = () => act(button, () => post(pathOf("regressions", id, "acknowledge")), `${id} is the new level`);
  const button = h("button", { type: "button", "aria-label": `Acknowledge ${id}`, onclick: acknowledge }, "Acknowledge");
  return h("p", { "data-regression": id },
    `Slower than its ${against}: ${cell} `, h("b", {}, size), " since ", linkTo("sweeps", since, since), " ",
    model.may("run") ? button : null);
}

/** The sweeps that are under way: `{ element, show() }`. */
function runningPart(model) {
  const element = h("div", { class: "now" });
  const rows = new KeyedList(element, (id) => runningRow(id, model));

  function show() {
    rows.set(newestFirst(model.sweeps.values()).filter((sweep) => !isOver(sweep)).map((sweep) => [sweep.id, sweep]));
  }

  return { element, show };
}

function runningRow(id, model) {
  const name = linkTo("sweeps", id, "");
  const progress = progressElement();
  const counts = h("span", { class: "counts" });
  const span = h("span", { class: "span" });
  return {
    element: h("div", { class: "run" }, name, progress, counts, span),
    update(sweep) {
      setText(name, sweep.name);
      name.title = sweep.id;
      setProgress(progress, sweep);
      setText(counts, countsText(sweep.counts));
      setText(span, spanText(sweep, model.devices.values()));
    },
  };
}
