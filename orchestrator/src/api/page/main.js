// The frame around the views: who is here, whether the daemon is, and which view is shown.

import { list, post } from "./api.js";
import { setAttribute, setText } from "./dom.js";
import { listen, showHelp } from "./keys.js";
import { Live } from "./live.js";
import { Model } from "./model.js";
import { act, say } from "./notices.js";
import { parsed } from "./router.js";
import { absolute, duration, renewTimes } from "./time.js";
import { loginView } from "./view-login.js";
import { auditView } from "./view-audit.js";
import { compareView } from "./view-compare.js";
import { deviceView } from "./view-device.js";
import { historyView } from "./view-history.js";
import { overviewView } from "./view-overview.js";
import { schedulesView } from "./view-schedules.js";
import { startView } from "./view-start.js";
import { sweepView } from "./view-sweep.js";
import { sweepsView } from "./view-sweeps.js";

const RENEW_TIMES_MS = 5_000;

const main = document.getElementById("main");
const model = new Model(show);
const live = new Live(model, showConnection);
const scrolled = new Map();
let view = null;
let isLoaded = false;
let connection = { name: "connecting" };

/** The view of an address: `make(context, ...words)` fills its element. */
function chosen({ parts }) {
  const [kind, name] = parts;
  if (kind === undefined || (kind === "devices" && name === undefined)) return ["overview", overviewView];
  if (kind === "devices") return ["overview", deviceView, name];
  if (kind === "sweeps") return name === undefined ? ["sweeps", sweepsView] : ["sweeps", sweepView, name];
  if (kind === "schedules") return ["schedules", schedulesView];
  if (kind === "start") return ["start", startView];
  if (kind === "compare") return ["compare", compareView];
  if (kind === "history") return ["history", historyView];
  if (kind === "audit") return ["audit", auditView];
  return ["overview", overviewView];
}

/** A view is `{ title, element, update(changes), leave() }`. */
function open(isByPerson) {
  if (!isLoaded) return;
  const address = parsed(location.hash);
  const [tab, make, ...words] = chosen(address);
  view?.leave?.();
  view = make({ model, query: address.query }, ...words);
  main.replaceChildren(view.element);
  view.update({ all: true, cells: new Map() });
  titled(view.title);
  for (const link of document.querySelectorAll("#views a")) {
    setAttribute(link, "aria-current", link.dataset.view === tab && "page");
  }
  if (isByPerson) main.focus({ preventScroll: true });
  scrollTo(0, scrolled.get(location.hash) ?? 0);
}

function titled(title) {
  document.title = [title, model.lab?.name, "farmctl"].filter(Boolean).join(" · ");
  say(title);
}

function show(changes) {
  if (changes.all || changes.lab) showFrame();
  if (changes.lab && !changes.all && model.hasOtherDevices()) loadDevices();
  if (!isLoaded) {
    isLoaded = true;
    open(false);
  } else {
    view.update(changes);
  }
}

/** What goes wrong here shows as a lost connection, which loads everything anew. */
async function loadDevices() {
  try {
    model.loadDevices(await list("devices"));
  } catch {
    live.restart();
  }
}

function showNav(isShown) {
  document.getElementById("views").hidden = !isShown;
  document.getElementById("who").hidden = !isShown;
}

function showFrame() {
  showNav(true);
  setText(document.getElementById("lab-name"), model.lab.name);
  setText(document.getElementById("who"), `${model.session.name} (${model.session.role})`);
  document.getElementById("logout").hidden = !model.session.needs_login;
  for (const link of document.querySelectorAll("#views a[data-role]")) link.hidden = !model.may(link.dataset.role);
}

function showConnection(state) {
  connection = state;
  const label = document.getElementById("connection");
  setAttribute(label, "data-state", state.name);
  setText(label, { gone: "no connection", unseen: "waiting", login: "not logged in" }[state.name] ?? state.name);
  label.title = model.lab ? `farmctl ${model.lab.version}, started ${absolute(Date.parse(model.lab.started_at))}` : "";
  if (state.name === "login") showLogin();
  showGone();
}

function showGone() {
  const isGone = connection.name === "gone";
  const bar = document.getElementById("gone");
  const text = document.getElementById("gone-text");
  bar.hidden = !isGone;
  if (!isGone) return setText(text, "");
  const asOf = isLoaded ? " What is shown here is from before." : "";
  const what = connection.isRefused ? "The daemon lets nobody in" : "The daemon is gone";
  setText(text, `${what} since ${absolute(connection.since)}: ${connection.why}.${asOf}`);
  countDown();
}

function countDown() {
  if (connection.name !== "gone") return;
  const seconds = (connection.again - Date.now()) / 1000;
  const gone = duration((Date.now() - connection.since) / 1000);
  setText(document.getElementById("gone-again"), `For ${gone}. ${seconds < 0.5 ? "Trying again." : `Trying again in ${duration(seconds)}.`}`);
}

function showLogin() {
  document.getElementById("logout").hidden = true;
  view?.leave?.();
  isLoaded = false;
  showNav(false);
  view = loginView(() => live.tryNow());
  main.replaceChildren(view.element);
  titled(view.title);
  view.element.querySelector("input").focus();
}

history.scrollRestoration = "manual"; // the browser would scroll before the view is there
addEventListener("hashchange", (event) => {
  scrolled.set(new URL(event.oldURL).hash, scrollY);
  open(true);
});
document.getElementById("gone-now").addEventListener("click", () => live.tryNow());
document.getElementById("help").addEventListener("click", showHelp);
document.getElementById("logout").addEventListener("click", (event) =>
  act(event.currentTarget, async () => {
    await post("logout");
    live.restart();
  }),
);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the hash is the view's
  main.focus();
});
setInterval(renewTimes, RENEW_TIMES_MS);
setInterval(countDown, 1_000);
document.documentElement.dataset.page = "whole"; // for again.js
listen();
live.run();
