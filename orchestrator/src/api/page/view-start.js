// Starts a sweep: a file of the lab, and on which devices.

import { list, post } from "./api.js";
import { matches } from "./filter.js";
import { h, KeyedList, setText } from "./dom.js";
import { byName, joined, many } from "./format.js";
import { act, tellError } from "./notices.js";
import { setState, stateElement } from "./parts.js";
import { addressOf } from "./router.js";

export function startView({ model }) {
  const file = h("select", { id: "file", required: true });
  const isAll = h("input", { type: "radio", name: "which", value: "all", checked: true, onchange: show });
  const isSome = h("input", { type: "radio", name: "which", value: "some", onchange: show });
  const text = h("input", { type: "search", placeholder: "Filter  /", "aria-label": "Filter devices by words", oninput: show });
  const choices = h("ul", { class: "choices" });
  const rows = new KeyedList(choices, choiceRow);
  const chosen = new Set();
  const picked = h("p", { class: "shown", role: "status" });
  const start = h("button", { class: "first" }, "Start the sweep");
  const which = h("fieldset", {},
    h("legend", {}, "On which devices"),
    h("label", { class: "check" }, isAll, "all that the file names"),
    h("label", { class: "check" }, isSome, "only these"),
  );
  const some = h("div", { class: "some" }, text, picked, choices);
  const form = h("form", { class: "start", onsubmit: begin }, h("label", { for: "file" }, "Sweep"), file, which, some, h("p", { class: "actions" }, start));
  const refused = h("p", { class: "wrong" }, "To start a sweep takes the role run.");
  const element = h("div", {}, h("h1", {}, "Start a sweep"), refused, form);

  function choiceRow(name) {
    const box = h("input", {
      type: "checkbox",
      onchange: () => {
        if (box.checked) chosen.add(name);
        else chosen.delete(name);
        showPicked();
      },
    });
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

  function show() {
    refused.hidden = model.may("run");
    form.hidden = !model.may("run");
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

  async function loadFiles() {
    try {
      const files = await list("files");
      const kept = file.value;
      file.replaceChildren(...files.map((entry) => h("option", { value: entry.file, selected: entry.file === kept }, entry.file)));
    } catch (error) {
      if (error.status !== 0 && error.status !== 403) tellError(error);
    }
  }

  async function begin(event) {
    event.preventDefault();
    if (isSome.checked && chosen.size === 0) return tellError({ message: "no device is chosen", hint: "Choose one, or all." });
    const devices = isSome.checked ? [...chosen] : null;
    const sweep = await act(start, () => post("sweeps", { file: file.value, devices }), `${file.value} is started`);
    if (!sweep) return;
    model.apply("sweep", sweep);
    location.hash = addressOf("sweeps", sweep.id);
  }

  function update(changes) {
    if (changes.all) loadFiles();
    if (changes.all || changes.devices?.size) show();
  }

  return { title: "Start a sweep", element, update };
}
