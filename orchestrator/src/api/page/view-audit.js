// Who did what in the lab, the newest first.

import { get } from "./api.js";
import { historyTable } from "./device-history.js";
import { h, setChildren } from "./dom.js";
import { act, tellError } from "./notices.js";

const STEP = 50;

export function auditView() {
  let told = [];
  let next = null;
  const place = h("div", {});
  const older = h("button", { type: "button", hidden: true, onclick: loadOlder }, "Older ones");
  const element = h("div", {}, h("h1", {}, "Audit"), h("p", { class: "muted" }, "Who began and cancelled sweeps, locked and released devices, and paused schedules."), place, older);

  async function load() {
    try {
      const part = await get(`audit?limit=${Math.max(STEP, Math.min(1_000, told.length))}`);
      [told, next] = [part.items, part.next];
      show();
    } catch (error) {
      if (error.status !== 0 && error.status !== 401) tellError(error);
    }
  }

  async function loadOlder() {
    const part = await act(older, () => get(`audit?limit=${STEP}&before=${next}`));
    if (!part) return;
    [told, next] = [[...told, ...part.items], part.next];
    show();
  }

  function show() {
    setChildren(place, told, () => [historyTable(told, "Audit")]);
    older.hidden = next === null;
  }

  function update(changes) {
    if (changes.all) load();
  }

  return { title: "Audit", element, update };
}
