// The keyboard: single keys for the whole page, and a help that lists them. They can be switched off.

import { open } from "./dialogs.js";
import { h } from "./dom.js";

const KEY_OF_SETTING = "farmctl-shortcuts";
/** A second key belongs to the first when it follows so soon. */
const PAIR_MS = 1_200;

const PLACES = { d: ["#/", "devices"], w: ["#/sweeps", "sweeps"], s: ["#/schedules", "schedules"], n: ["#/start", "start a sweep"], c: ["#/compare", "compare"], h: ["#/history", "history"], a: ["#/audit", "audit"] };

const HELP = [
  ["/", "filter"],
  ["j  k", "next and previous row"],
  ["Enter", "open the row"],
  ...Object.entries(PLACES).map(([key, [, name]]) => [`g ${key}`, `go to: ${name}`]),
  ["← → ↑ ↓", "move in the matrix of a sweep"],
  ["Esc", "empty the filter, close"],
  ["?", "this help"],
];

/** Listens for shortcuts. */
export function listen() {
  let pairUntil = 0;
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return escape(event);
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || !areOn()) return;
    if (document.querySelector("dialog[open]")) return;
    const isSecond = event.timeStamp < pairUntil;
    pairUntil = 0;
    if (isSecond && PLACES[event.key]) location.hash = PLACES[event.key][0];
    else if (event.key === "g") pairUntil = event.timeStamp + PAIR_MS;
    else if (event.key === "/") document.querySelector("main [type=search]")?.focus();
    else if (event.key === "?") showHelp();
    else if (event.key === "j" || event.key === "k") step(event.key === "j" ? 1 : -1);
    else return;
    event.preventDefault();
  });
}

function isTyping(element) {
  return element instanceof HTMLElement && element.matches("input:not([type=checkbox]), textarea, select");
}

function escape(event) {
  if (!(event.target instanceof HTMLInputElement) || event.target.type !== "search") return;
  if (event.target.value === "") return event.target.blur();
  event.target.value = "";
  event.target.dispatchEvent(new Event("input"));
  event.preventDefault();
}

/** To the next row that is shown: its first link has the focus. */
function step(by) {
  const links = [...document.querySelectorAll("main [data-row]:not([hidden]) a[data-open]")];
  const row = document.activeElement?.closest("[data-row]");
  const at = links.findIndex((link) => link.closest("[data-row]") === row);
  const next = at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, at + by));
  links[next]?.focus();
}

function areOn() {
  return localStorage.getItem(KEY_OF_SETTING) !== "off";
}

/** The shortcuts, and whether they are in force. */
export function showHelp() {
  const setting = h("input", {
    type: "checkbox",
    onchange: () => localStorage.setItem(KEY_OF_SETTING, setting.checked ? "on" : "off"),
  });
  setting.checked = areOn();
  const keys = HELP.flatMap(([key, text]) => [h("dt", {}, ...key.split(/ +/).map((k) => h("kbd", {}, k))), h("dd", {}, text)]);
  open(
    h("dialog", { "aria-labelledby": "help-title" },
      h("form", { method: "dialog" },
        h("h2", { id: "help-title" }, "Keyboard"),
        h("dl", { class: "keys" }, ...keys),
        h("label", { class: "check" }, setting, "single keys are shortcuts"),
        h("p", { class: "actions" }, h("button", { autofocus: true }, "Close")),
      ),
    ),
  );
}
