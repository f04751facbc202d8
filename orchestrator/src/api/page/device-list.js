// Every device of the lab in a table, which is filtered and ordered. What is wanted stands in the address.

import { compareBy, counted, matches, STATUSES, tagsOf } from "./filter.js";
import { DeviceRow, COLUMNS } from "./device-row.js";
import { h, KeyedList, setAttribute, setChildren, setText, table } from "./dom.js";
import { many } from "./format.js";
import { keepQuery } from "./router.js";

/** The list `{ elements, update(changes) }`. */
export function deviceList({ model, query }) {
  const wanted = wantedOf(query);
  const filters = filtersPart(model, wanted, change);
  const body = h("tbody", { role: "rowgroup" });
  const rows = new KeyedList(body, (name) => {
    const row = new DeviceRow(name);
    return { element: row.element, update: (device) => row.update(device, model.sweeps.get(device.use?.sweep_id)?.name) };
  });
  const heads = COLUMNS.map(headOf);

  function headOf({ key, label, sort, class: kind }) {
    const sortBy = () => change({ sort, isDescending: wanted.sort === sort && !wanted.isDescending });
    const content = sort ? h("button", { type: "button", onclick: sortBy }, label) : label;
    return h("th", { scope: "col", role: "columnheader", class: kind, "data-sort": sort, "data-column": key }, content);
  }

  function change(some) {
    Object.assign(wanted, some);
    keepQuery(queryOf(wanted));
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
    filters.show(body.children.length - body.querySelectorAll(":scope > [hidden]").length);
  }

  function update(changes) {
    if (changes.all || [...(changes.devices ?? [])].some((name) => !rows.get(name))) return showRows();
    for (const name of changes.devices) {
      rows.get(name).update(model.devices.get(name));
      filterRow(model.devices.get(name));
    }
    if (changes.devices.size > 0) showFilters();
  }

  return { elements: [filters.element, table("Devices", heads, body, { class: "devices" })], update };
}

/** What is wanted by an address. */
function wantedOf(query) {
  return {
    status: query.get("status") ?? "",
    tag: query.get("tag") ?? "",
    text: query.get("q") ?? "",
    sort: query.get("sort") ?? "name",
    isDescending: query.get("order") === "down",
  };
}

/** The address of what is wanted. */
function queryOf({ status, tag, text, sort, isDescending }) {
  const entries = { status, tag, q: text, sort: sort === "name" ? "" : sort, order: isDescending ? "down" : "" };
  return new URLSearchParams(Object.entries(entries).filter(([, value]) => value));
}

/** What devices are filtered by: `{ element, show(count) }`, where so many are shown. `change` hears what is wanted otherwise. */
function filtersPart(model, wanted, change) {
  const chips = h("div", { class: "chips", role: "group", "aria-label": "Devices by status" });
  const text = h("input", {
    type: "search", placeholder: "Filter  /", "aria-label": "Filter devices by words", value: wanted.text, oninput: () => change({ text: text.value }),
  });
  const tag = h("select", { "aria-label": "Filter devices by tag", onchange: () => change({ tag: tag.value }) });
  const shown = h("p", { class: "shown", role: "status" });

  function show(count) {
    const counts = counted(model.devices.values());
    setChildren(chips, [[...counts], wanted.status], () => chipsOf(counts));
    const tags = tagsOf(model.devices.values());
    setChildren(tag, [tags, wanted.tag], () => [
      h("option", { value: "" }, "any tag"),
      ...tags.map((name) => h("option", { value: name, selected: name === wanted.tag }, name)),
    ]);
    const all = model.devices.size;
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

  return { element: h("div", { class: "filters", role: "search" }, chips, text, tag, shown), show };
}
