// Loads the page again when a part of it was lost on the way: when a computer's network changes, its browser drops every
// request that is under way. Not a module, and without any: it has to work when those do not arrive. For the same reason
// index.html names it twice.

(() => {
  if (window.isWatched) return;
  window.isWatched = true;

  const KEY_OF_TRIES = "farmctl-tries";
  const MOST_TRIES = 8;
  const PAUSE_MS = 1_000;

  /** `main.js` says so once all modules are there. */
  function isWhole() {
    const hasStyle = document.querySelector("link[rel=stylesheet]").sheet !== null;
    return hasStyle && document.documentElement.dataset.page === "whole";
  }

  /** A browser that finds no daemon would show a page of its own in place of this one, and stay there. */
  async function isDaemonThere() {
    try {
      return (await fetch("/", { cache: "no-store" })).ok;
    } catch {
      return false;
    }
  }

  async function tryAgain() {
    let tries = Number(sessionStorage.getItem(KEY_OF_TRIES));
    while (tries < MOST_TRIES) {
      tries += 1;
      sessionStorage.setItem(KEY_OF_TRIES, String(tries));
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      if (await isDaemonThere()) return location.reload();
    }
    sessionStorage.removeItem(KEY_OF_TRIES);
    const text = document.createElement("p");
    text.role = "alert";
    text.textContent = `Parts of this page did not arrive, ${MOST_TRIES} times in a row. Is the daemon there? Load the page again to try it anew.`;
    document.getElementById("main").replaceChildren(text);
    document.getElementById("connection").textContent = "not loaded";
  }

  // What is lost by now does not come any more.
  addEventListener("load", () => {
    if (isWhole()) sessionStorage.removeItem(KEY_OF_TRIES);
    else tryAgain();
  });
})();
