// Questions and help in front of the page.

import { h } from "./dom.js";

/** Asks before something is done that can't be taken back. */
export function confirmed(question, yes) {
  return new Promise((resolve) => {
    const dialog = h(
      "dialog",
      { "aria-labelledby": "question" },
      h("form", { method: "dialog" },
        h("p", { id: "question" }, question),
        h("p", { class: "actions" },
          h("button", { value: "yes", class: "danger" }, yes),
          h("button", { value: "no", autofocus: true }, "No, leave it"),
        ),
      ),
    );
    open(dialog, () => resolve(dialog.returnValue === "yes"));
  });
}

/** Shows a dialog, and takes it away once it is closed. */
export function open(dialog, closed = () => {}) {
  document.body.append(dialog);
  dialog.addEventListener("close", () => {
    dialog.remove();
    closed();
  });
  dialog.showModal();
}
