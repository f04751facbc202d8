// The lab: what is wrong, what runs, and every device.

import { pathOf, post } from "./api.js";
import { compareBy, counted, matches, STATUSES, tagsOf } from "./filter.js";
import { DeviceRow, COLUMNS } from "./device-row.js";
import { h, KeyedList, setAttribute, setChildren, setText, table } from "./dom.js";
import { many, signed } from "./format.js";
import { isOver, newestFirst } from "./model.js";
import { act } from "./notices.js";
import { countsText, linkTo, progressElement, setProgress, spanText } from "./parts.js";
import { keepQuery } from "./router.js";
import { setTime, timeElement } from "./time.js";
import { utilisationPart } from "./utilisation.js";

export function overviewView({ model, query }) {
  const wanted = {
    status: query.get("status") ?? "",
    tag: query.get("tag") ?? "",
    text: query.get("q") ?? "",
    sort: query.get("sort") ?? "name",
    isDescending: query.get("order") === "down",
  };
  const troubles = h("div", { class: "troubles", role: "alert" });
  const slower = h("section", { class: "slower", "aria-label": "What got slower" });
  const now = h("div", { class: "now" });
  const running = new KeyedList(now, runningRow);
  const next = h("p", { class: "next" });
  const utilisation = utilisationPart("utilisation");
  const chips = h("div", { class: "chips", role: "group", "aria-label": "Devices by status" });
  const text = h("input", {
    type: "search", placeholder: "Filter  /", "aria-label": "Filter devices by words", value: wanted.text, oninput: () => change({ text: text.value }),
  });
  const tag = h("select", { "aria-label": "Filter devices by tag", onchange: () => change({ tag: tag.value }) });
  const shown = h("p", { class: "shown", role: "status" });
  const body = h("tbody", { role: "rowgroup" });
  const rows = new KeyedList(body, (name) => {
    const row = new DeviceRow(name);
    return { element: row.element, update: (device) => row.update(device, model.sweeps.get(device.use?.sweep_id)?.name) };
  });
  const heads = COLUMNS.map(headOf);
  const element = h("div", { class: "overview" },
    h("h1", { class: "unseen" }, "Devices"),
    troubles,
    slower,
    h("section", { "aria-label": "What runs" }, now, next),
    utilisation.element,
    h("div", { class: "filters", role: "search" }, chips, text, tag, shown),
    table("Devices", heads, body, { class: "devices" }),
  );

  function runningRow(id) {
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

  function headOf({ key, label, sort, class: kind }) {
    const content = sort ? h("button", { type: "button", onclick: () => sortBy(sort) }, label) : label;
    return h("th", { scope: "col", role: "columnheader", class: kind, "data-sort": sort, "data-column": key }, content);
  }

  function sortBy(sort) {
    change({ sort, isDescending: wanted.sort === sort && !wanted.isDescending });
  }

  function change(some) {
    Object.assign(wanted, some);
    const { status, tag: tagWanted, text: words, sort, isDescending } = wanted;
    const entries = { status, tag: tagWanted, q: words, sort: sort === "name" ? "" : sort, order: isDescending ? "down" : "" };
    keepQuery(new URLSearchParams(Object.entries(entries).filter(([, value]) => value)));
    showRows();
  }

  /** All rows, in order. */
  function showRows() {
    const ordered = [...model.devices.values()].sort(compareBy(wanted.sort, wanted.isDescending));
    rows.set(ordered.map((device) => [device.name, device]));
    for (const device of ordered) filterRow(device);
    for (const head of heads) {
      setAttribute(head, "aria-sort", head.dataset.sort === wanted.sort && (wanted.isDescending ? "descending" : "ascending"));
    }
    showFilters();
  }

  function filterRow(device) {
    const isHidden = !matches(device, wanted);
    const row = rows.get(device.name).element;
    if (row.hidden !== isHidden) row.hidden = isHidden;
  }

  function showFilters() {
    const counts = counted(model.devices.values());
    setChildren(chips, [[...counts], wanted.status], () => chipsOf(counts));
    const tags = tagsOf(model.devices.values());
    setChildren(tag, [tags, wanted.tag], () => [
      h("option", { value: "" }, "any tag"),
      ...tags.map((name) => h("option", { value: name, selected: name === wanted.tag }, name)),
    ]);
    const all = model.devices.size;
    const count = body.children.length - body.querySelectorAll(":scope > [hidden]").length;
    const none = all === 0 ? "No device is declared: name them in a file in farms/." : "No device is like that.";
    setText(shown, count === 0 ? none : count < all ? `${count} of ${many(all, "device")}` : "");
  }

  function chipsOf(counts) {
    const focused = chips.contains(document.activeElement) ? document.activeElement.dataset.status : null;
    const made = ["", ...STATUSES.filter((status) => counts.get(status) > 0 || status === wanted.status)].map((status) =>
      h("button", {
          type: "button", class: "chip", "data-status": status, "aria-pressed": String(wanted.status === status),
          onclick: () => change({ status: wanted.status === status ? "" : status }),
        },
        status === "" ? "all " : h("span", { class: "state", "data-state": status }, `${status} `),
        h("b", {}, String(status === "" ? model.devices.size : counts.get(status))),
      ),
    );
    if (focused !== null) queueMicrotask(() => made.find((chip) => chip.dataset.status === focused)?.focus());
    return made;
  }

  function showLab() {
    const { status } = model.lab;
    setChildren(troubles, status.troubles, () => status.troubles.map((trouble) => h("p", {}, trouble)));
    const regressions = model.lab.regressions ?? [];
    setChildren(slower, [regressions, model.may("run")], () => regressions.map(slowerLine));
    slower.hidden = regressions.length === 0;
    setChildren(next, status.next, () => {
      if (!status.next) return ["Nothing is due."];
      const at = timeElement("relative");
      setTime(at, status.next.at);
      const clock = timeElement("clock");
      setTime(clock, status.next.at);
      return ["Next: ", h("a", { href: "#/schedules" }, status.next.schedule), " ", at, " (", clock, ")"];
    });
  }

  /** A cell that got slower, with the button that makes that its new level. */
  function slowerLine({ id, cell, percent, low_percent, high_percent, since, against }) {
    const size = `${signed(percent)} % (${signed(low_percent)} to ${signed(high_percent)} %)`;
    const button = h("button", { type: "button", "aria-label": `Acknowledge ${id}`, onclick: () => acknowledge(button, id) }, "Acknowledge");
    return h("p", { "data-regression": id },
      `Slower than its ${against}: ${cell} `, h("b", {}, size), " since ", linkTo("sweeps", since, since), " ",
      model.may("run") ? button : null);
  }

  function acknowledge(button, id) {
    return act(button, () => post(pathOf("regressions", id, "acknowledge")), `${id} is the new level`);
  }

  function showRunning() {
    running.set(newestFirst(model.sweeps.values()).filter((sweep) => !isOver(sweep)).map((sweep) => [sweep.id, sweep]));
  }

  function update(changes) {
    utilisation.update(changes);
    if (changes.all || changes.lab) showLab();
    if (changes.all || changes.sweeps?.size || changes.devices?.size) showRunning();
    if (changes.all || [...(changes.devices ?? [])].some((name) => !rows.get(name))) return showRows();
    for (const name of changes.devices) {
      rows.get(name).update(model.devices.get(name));
      filterRow(model.devices.get(name));
    }
    if (changes.devices.size > 0) showFilters();
  }

  return { title: "Devices", element, update };
}
