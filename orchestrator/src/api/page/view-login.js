// Login by a token.

import { post } from "./api.js";
import { h, setText } from "./dom.js";

/** Asks for a token until the daemon takes one; then calls `done`. */
export function loginView(done) {
  const token = h("input", { type: "password", id: "token", autocomplete: "current-password", required: true, "aria-describedby": "token-wrong" });
  const wrong = h("p", { class: "wrong", role: "alert", id: "token-wrong" });
  const button = h("button", { class: "first" }, "Log in");

  async function login(event) {
    event.preventDefault();
    button.disabled = true;
    setText(wrong, "");
    try {
      await post("login", { token: token.value.trim() });
      done();
    } catch (error) {
      setText(wrong, [error.message, error.hint].filter(Boolean).join(". "));
      token.setAttribute("aria-invalid", "true");
      token.select();
    } finally {
      button.disabled = false;
    }
  }

  const element = h("form", { class: "login", onsubmit: login },
    h("h1", {}, "Log in"),
    h("label", { for: "token" }, "Your token for this lab"),
    token,
    wrong,
    button,
  );
  return { title: "Log in", element, update() {} };
}
