// One device: what it is, what it does, its lock, its history, and what it says right now.

import { pathOf, post } from "./api.js";
import { h, setChildren, setText } from "./dom.js";
import { deviceHistory } from "./device-history.js";
import { setDoing } from "./device-row.js";
import { endOf } from "./filter.js";
import { bytes, fixed } from "./format.js";
import { act, say } from "./notices.js";
import { setState, stateElement } from "./parts.js";
import { setTime, timeElement } from "./time.js";
import { trustPart } from "./trust.js";
import { utilisationPart } from "./utilisation.js";

const LOCK_MINUTES = 120;

const FACTS = [
  ["Model", (device) => device.model],
  ["SoC", (device) => device.soc],
  ["System", (device) => device.os],
  ["Cores", (device) => device.cores],
  ["Memory", (device) => bytes(device.memory_bytes)],
  ["Free", (device) => bytes(device.free_bytes)],
  ["Temperature", (device) => device.temperature_celsius !== null && `${fixed(device.temperature_celsius, 1)} °C`],
  ["Battery", (device) => device.battery_percent !== null && `${device.battery_percent} %`],
  ["Reached by", ({ transport, address }) => (address.startsWith(transport) ? address : `${transport} ${address}`)],
  ["Hosts", (device) => device.hosts.join("  ")],
  ["Farm", (device) => device.farm],
  ["Tags", (device) => device.tags.join("  ")],
  ["Notes", (device) => device.notes],
];

export function deviceView({ model }, name) {
  const state = stateElement();
  const doing = h("span", {});
  const until = timeElement("clock");
  const untilText = h("span", {}, "until ", until);
  const seen = timeElement("relative");
  const facts = h("dl", { class: "facts" });
  const lockText = h("p", {});
  const actions = actionsOf(name, model);
  const utilisation = utilisationPart(pathOf("devices", name, "utilisation"));
  const trust = trustPart(name);
  const past = deviceHistory(name, model);
  const missing = h("p", { class: "wrong" });
  const body = h("div", { class: "device" },
    h("section", { "aria-label": "Now", class: "standing" }, state, doing, untilText, h("span", { class: "muted" }, "seen ", seen)),
    h("section", { "aria-labelledby": "facts-title" }, h("h2", { id: "facts-title" }, "What it is"), facts),
    h("section", { "aria-labelledby": "lock-title" }, h("h2", { id: "lock-title" }, "Lock"), lockText, actions.element),
    utilisation.element,
    trust.element,
    ...past.elements,
  );
  const element = h("article", {}, h("h1", {}, name), missing, body);
  let shownStatus = null;

  function show() {
    const device = model.devices.get(name);
    body.hidden = !device;
    setText(missing, device ? "" : `No device of this lab is named ${name}.`);
    if (!device) return;
    if (shownStatus !== null && shownStatus !== device.status) say(`${name} is ${device.status}`);
    shownStatus = device.status;
    setState(state, device.status);
    setDoing(doing, device, model.sweeps.get(device.use?.sweep_id)?.name);
    setTime(until, endOf(device));
    untilText.hidden = !endOf(device);
    setTime(seen, device.seen_at);
    const known = FACTS.map(([label, of]) => [label, of(device)]).filter(([, value]) => value);
    setChildren(facts, known, () => known.flatMap(([label, value]) => [h("dt", {}, label), h("dd", {}, String(value))]));
    showLock(lockText, device);
    actions.show(device);
  }

  function update(changes) {
    utilisation.update(changes);
    if (changes.all || changes.devices.has(name)) show();
    if (model.devices.has(name)) trust.update(changes);
    past.update(changes);
  }

  function leave() {
    trust.leave();
    past.leave();
  }

  return { title: name, element, update, leave };
}

function showLock(element, { lock }) {
  setChildren(element, lock, () => {
    if (!lock) return ["Nobody has locked it."];
    const until = timeElement("clock");
    setTime(until, lock.until);
    const end = lock.until ? ["until ", until] : ["until it is unlocked"];
    return ["Locked by ", h("strong", {}, lock.by), " ", ...end, lock.why ? `: ${lock.why}` : ""];
  });
}

/** What may be done to a device, for who may. */
function actionsOf(name, model) {
  const minutes = h("input", { type: "number", id: "lock-minutes", min: 1, max: 43_200, value: LOCK_MINUTES, required: true });
  const why = h("input", { type: "text", id: "lock-why", maxlength: 200, placeholder: "debugging", required: true });
  const lock = h("button", { class: "first" }, "Lock");
  const unlock = h("button", { type: "button", onclick: () => write(unlock, "unlock", {}, `${name} is unlocked`) }, "Unlock");
  const release = h("button", { type: "button", onclick: () => write(release, "release", {}, `${name} is released`) }, "Release from quarantine");

  /** What it changes is shown once the stream tells it: an answer may be out of date before the stream is. */
  function write(button, verb, body, done) {
    return act(button, () => post(pathOf("devices", name, verb), body), done);
  }

  const form = h("form", {
      class: "lock",
      onsubmit: (event) => {
        event.preventDefault();
        write(lock, "lock", { minutes: minutes.valueAsNumber, why: why.value }, `${name} is locked`);
      },
    },
    h("label", { for: "lock-minutes" }, "Minutes"), minutes,
    h("label", { for: "lock-why" }, "Why"), why,
    lock,
  );
  const element = h("div", { class: "actions" }, form, unlock, release);

  /** A button that has the focus stays where it was when what it did hides it: the focus goes on to what is next. */
  function show(device) {
    const had = element.contains(document.activeElement);
    element.hidden = !model.may("run");
    form.hidden = device.lock !== null;
    unlock.hidden = device.lock === null;
    release.hidden = device.status !== "quarantined";
    if (had && document.activeElement.closest("[hidden]")) (form.hidden ? unlock : minutes).focus();
  }

  return { element, show };
}
