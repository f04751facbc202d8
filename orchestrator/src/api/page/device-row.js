// One device as a row of the overview, or a card on a narrow screen.

import { h, setAttribute, setChildren, setText } from "./dom.js";
import { endOf } from "./filter.js";
import { bytes, fixed, joined } from "./format.js";
import { linkTo, setState, stateElement } from "./parts.js";
import { setTime, timeElement } from "./time.js";

/** The columns, with the field that a click on the head orders by. */
export const COLUMNS = [
  { key: "state", label: "State", sort: "status" },
  { key: "name", label: "Device", sort: "name" },
  { key: "kind", label: "Model" },
  { key: "doing", label: "Doing" },
  { key: "until", label: "Until", sort: "until", class: "n" },
  { key: "temperature", label: "°C", sort: "temperature", class: "n" },
  { key: "battery", label: "Battery", sort: "battery", class: "n" },
  { key: "free", label: "Free", sort: "free", class: "n" },
  { key: "seen", label: "Seen", class: "n" },
];

export class DeviceRow {
  #cells = {};
  #state = stateElement();
  #until = timeElement("relative");
  #seen = timeElement("relative");
  #name;

  constructor(name) {
    this.#name = linkTo("devices", name);
    this.#name.dataset.open = "";
    for (const { key, class: kind } of COLUMNS) this.#cells[key] = h("td", { role: "cell", class: kind, "data-column": key });
    this.#cells.name = h("th", { scope: "row", role: "rowheader", "data-column": "name" }, this.#name);
    this.#cells.state.append(this.#state);
    this.#cells.until.append(this.#until);
    this.#cells.seen.append(this.#seen);
    this.element = h("tr", { role: "row", "data-row": "" }, ...COLUMNS.map(({ key }) => this.#cells[key]));
  }

  /** `sweepName` is the name of the sweep that it works for. */
  update(device, sweepName) {
    const cells = this.#cells;
    setState(this.#state, device.status);
    setAttribute(this.element, "data-state", device.status);
    setAttribute(this.#name, "title", joined(device.farm, device.tags.join(" "), device.notes) || null);
    setText(cells.kind, joined(device.model, device.soc) || device.os);
    setDoing(cells.doing, device, sweepName);
    setTime(this.#until, endOf(device));
    setText(cells.temperature, fixed(device.temperature_celsius, 1));
    setText(cells.battery, device.battery_percent === null ? "" : `${device.battery_percent} %`);
    setText(cells.free, bytes(device.free_bytes));
    setTime(this.#seen, device.seen_at);
  }
}

/** What a device is at, or why it is at nothing. */
export function setDoing(element, { status, detail, lock, use }, sweepName) {
  // A lock keeps off what comes next, not the run that is under way.
  const locked = lock ? `locked by ${lock.by}: ${lock.why}` : null;
  if (use && status === "busy") {
    const text = joined(use.model ?? "a job", use.open_jobs > 1 ? `${use.open_jobs} left` : null, locked);
    setChildren(element, [text, use.sweep_id, sweepName], () => [
      text,
      " ",
      use.sweep_id ? linkTo("sweeps", use.sweep_id, sweepName ?? "sweep") : null,
    ]);
  } else {
    const text = status === "locked" && lock ? joined(`by ${lock.by}`, lock.why) : joined(detail, locked);
    setChildren(element, text, () => [text]);
  }
  setAttribute(element, "title", element.textContent.length > 30 ? element.textContent : null);
}
