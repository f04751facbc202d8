// What is told to a person: what was done, and what went wrong with what to do about it.

import { h, setText } from "./dom.js";

const SHOWN_MS = 6_000;
const MOST = 4;

/** Tells that something was done; it goes by itself. */
export function tellDone(text) {
  const notice = show("done", "status", h("p", {}, text));
  setTimeout(() => notice.remove(), SHOWN_MS);
}

/** Tells what went wrong; it stays until it is closed. */
export function tellError(error) {
  show("error", "alert", h("p", {}, h("strong", {}, error.message)), error.hint ? h("p", {}, error.hint) : null);
}

/** Says something only to those who have the page read to them. */
export function say(text) {
  setText(document.getElementById("said"), text);
}

function show(kind, role, ...content) {
  const place = document.getElementById("notices");
  const close = h("button", { type: "button", class: "quiet", "aria-label": "Close", onclick: () => notice.remove() }, "×");
  const notice = h("div", { class: `notice ${kind}`, role }, h("div", {}, ...content), close);
  place.append(notice);
  while (place.children.length > MOST) place.firstElementChild.remove();
  return notice;
}

/** Does what a button is for: once at a time, with an error shown. Gives the result, or null after an error. */
export async function act(button, work, doneText = null) {
  if (button.getAttribute("aria-disabled") === "true") return null;
  button.setAttribute("aria-disabled", "true");
  try {
    const result = await work();
    // What is begun may have something to be known of it.
    if (doneText) tellDone([doneText, ...(result?.remarks ?? [])].join("; "));
    return result;
  } catch (error) {
    tellError(error);
    return null;
  } finally {
    button.removeAttribute("aria-disabled");
  }
}
