// Starts a sweep: a file of the lab, and on which devices.

import { list, post } from "./api.js";
import { matches } from "./filter.js";
import { h, KeyedList, setChildren, setText } from "./dom.js";
import { byName, joined, many } from "./format.js";
import { act, tellError } from "./notices.js";
import { setState, stateElement } from "./parts.js";
import { addressOf } from "./router.js";
import { duration } from "./time.js";

/** Who chooses is asked for no more than this often. */
const PREVIEW_MS = 250;

export function startView({ model }) {
  const file = h("select", { id: "file", required: true, onchange: previewSoon });
  const devices = devicePicker(model, previewSoon);
  const start = h("button", { class: "first" }, "Start the sweep");
  const preview = h("div", { class: "preview", role: "status", "aria-label": "What it would do" });
  const form = h("form", { class: "start", onsubmit: begin },
    h("label", { for: "file" }, "Sweep"), file, ...devices.elements, preview, h("p", { class: "actions" }, start));
  const refused = h("p", { class: "wrong" }, "To start a sweep takes the role run.");
  const element = h("div", {}, h("h1", {}, "Start a sweep"), refused, form);
  let asked = 0;
  let asking = null;

  function show() {
    refused.hidden = model.may("run");
    form.hidden = !model.may("run");
    devices.show();
  }

  /** What is to be started, or null when no device is chosen. */
  function order() {
    const names = devices.names();
    if (names?.length === 0) return null;
    return { file: file.value, devices: names };
  }

  function previewSoon() {
    clearTimeout(asking);
    asking = setTimeout(showPreview, PREVIEW_MS);
  }

  async function showPreview() {
    const [own, wanted] = [++asked, order()];
    if (!wanted || !wanted.file || !model.may("run")) return setChildren(preview, null, () => []);
    let lines;
    try {
      lines = previewLines(await post("preview", wanted));
    } catch (error) {
      lines = [joined(error.message, error.hint)];
    }
    if (own === asked) setChildren(preview, lines, () => lines.map((line) => h("p", {}, line)));
  }

  async function loadFiles() {
    try {
      const files = await list("files");
      const kept = file.value;
      file.replaceChildren(...files.map((entry) => h("option", { value: entry.file, selected: kept ? entry.file === kept : entry.is_usual }, entry.file)));
      previewSoon();
    } catch (error) {
      if (error.status !== 0 && error.status !== 403) tellError(error);
    }
  }

  async function begin(event) {
    event.preventDefault();
    const wanted = order();
    if (!wanted) return tellError({ message: "no device is chosen", hint: "Choose one, or all." });
    const sweep = await act(start, () => post("sweeps", wanted), `${file.value} is started`);
    if (!sweep) return;
    model.apply("sweep", sweep);
    location.hash = addressOf("sweeps", sweep.id);
  }

  function update(changes) {
    if (changes.all) loadFiles();
    if (changes.all || changes.devices?.size) show();
  }

  return { title: "Start a sweep", element, update, leave: () => clearTimeout(asking) };
}

/**
 * Which devices a sweep is to use: `{ elements, show(), names() }`. The names are null where those of its file are; `changed` hears of each
 * change.
 */
function devicePicker(model, changed) {
  const isAll = h("input", { type: "radio", name: "which", value: "all", checked: true, onchange: choose });
  const isSome = h("input", { type: "radio", name: "which", value: "some", onchange: choose });
  const text = h("input", { type: "search", placeholder: "Filter  /", "aria-label": "Filter devices by words", oninput: show });
  const choices = h("ul", { class: "choices" });
  const rows = new KeyedList(choices, (name) => choiceRow(name, take));
  const chosen = new Set();
  const picked = h("p", { class: "shown", role: "status" });
  const which = h("fieldset", {},
    h("legend", {}, "On which devices"),
    h("label", { class: "check" }, isAll, "all that the file names"),
    h("label", { class: "check" }, isSome, "only these"),
  );
  const some = h("div", { class: "some" }, text, picked, choices);

  function choose() {
    show();
    changed();
  }

  function take(name, isTaken) {
    if (isTaken) chosen.add(name);
    else chosen.delete(name);
    showPicked();
    changed();
  }

  function show() {
    some.hidden = !isSome.checked;
    if (some.hidden) return;
    const wanted = [...model.devices.values()].filter((device) => chosen.has(device.name) || matches(device, { text: text.value }));
    wanted.sort((a, b) => byName(a.name, b.name));
    rows.set(wanted.map((device) => [device.name, device]));
    for (const { name } of wanted) rows.get(name).element.querySelector("input").checked = chosen.has(name);
    showPicked();
  }

  function showPicked() {
    setText(picked, `${many(chosen.size, "device")} chosen`);
  }

  return { elements: [which, some], show, names: () => (isSome.checked ? [...chosen] : null) };
}

/** A device that may be chosen; `take` hears whether it is. */
function choiceRow(name, take) {
  const box = h("input", { type: "checkbox", onchange: () => take(name, box.checked) });
  const state = stateElement();
  const about = h("span", { class: "muted" });
  return {
    element: h("li", { "data-row": "" }, h("label", { class: "check" }, box, h("span", {}, name), " ", state, about)),
    update(device) {
      setState(state, device.status);
      setText(about, joined(device.model, device.soc));
    },
  };
}

/** What a sweep would do, in lines. */
export function previewLines({ jobs, seconds, longest_seconds, devices, skipped, remarks = [] }) {
  const longest = [...devices].sort((a, b) => b.seconds - a.seconds)[0];
  const first = jobs === 0 ? "Nothing would be measured." : `${many(jobs, "cell")} on ${many(devices.length, "device")}, about ${duration(seconds)}${longest_seconds > seconds ? ` to ${duration(longest_seconds)}` : ""} by the limits of the sweep${devices.length > 1 ? `, ${longest.device} the longest` : ""}.`;
  return [first, ...skipped.map(({ cells, why }) => `${many(cells, "cell")} skipped: ${why}`), ...remarks];
}
