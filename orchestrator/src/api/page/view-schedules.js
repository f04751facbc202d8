// Schedules: what runs next, what came of the last starts, and the buttons for who may.

import { pathOf, post } from "./api.js";
import { h, KeyedList, setChildren, setText } from "./dom.js";
import { byName, joined } from "./format.js";
import { act } from "./notices.js";
import { linkTo, setState, stateElement } from "./parts.js";
import { addressOf } from "./router.js";
import { absolute, setTime, timeElement } from "./time.js";

const MOST_STARTS = 7;

export function schedulesView({ model }) {
  const place = h("div", { class: "schedules" });
  const rows = new KeyedList(place, (name) => scheduleCard(name, model));
  const none = h("p", {}, "No schedule is declared: configs/daemon.yaml holds them.");
  const element = h("div", {}, h("h1", {}, "Schedules"), none, place);

  function update(changes) {
    if (!changes.all && !changes.schedules?.size) return;
    const ordered = [...model.schedules.values()].sort((a, b) => byName(a.name, b.name));
    none.hidden = ordered.length > 0;
    rows.set(ordered.map((schedule) => [schedule.name, schedule]));
  }

  return { title: "Schedules", element, update };
}

function scheduleCard(name, model) {
  const state = stateElement();
  const next = h("p", { class: "next" });
  const rule = h("p", { class: "rule" });
  const last = h("ol", { class: "starts", "aria-label": `Last starts of ${name}` });
  const run = h("button", { type: "button", onclick: runNow }, "Run now");
  const pause = h("button", { type: "button", onclick: () => write(pause, "pause", `${name} is paused`) }, "Pause");
  const resume = h("button", { type: "button", onclick: () => write(resume, "resume", `${name} goes on`) }, "Resume");
  const actions = h("p", { class: "actions" }, run, pause, resume);
  const labelled = (button, verb) => button.setAttribute("aria-label", `${verb} ${name}`);
  labelled(run, "Run now:");
  labelled(pause, "Pause");
  labelled(resume, "Resume");

  async function runNow() {
    const sweep = await act(run, () => post(pathOf("schedules", name, "run")), `${name} is started`);
    if (!sweep?.id) return;
    model.apply("sweep", sweep);
    location.hash = addressOf("sweeps", sweep.id);
  }

  function write(button, verb, done) {
    return act(button, () => post(pathOf("schedules", name, verb)), done);
  }

  return {
    element: h("section", { class: "schedule", "aria-label": name, "data-row": "" }, h("h2", {}, name, " ", state), next, rule, last, actions),
    update(schedule) {
      setState(state, standingOf(schedule));
      setChildren(next, [schedule.next_due, schedule.next_start, schedule.paused, schedule.enabled], () => nextOf(schedule));
      setText(rule, joined(schedule.cron, schedule.timezone, schedule.sweep, schedule.window && `window ${windowText(schedule.window)}`, schedule.max_parallel && `${schedule.max_parallel} at a time`, schedule.overlap && `overlap: ${schedule.overlap}`, schedule.missed && `missed: ${schedule.missed}`));
      setChildren(last, schedule.last, () => schedule.last.slice(0, MOST_STARTS).map(startLine));
      last.hidden = schedule.last.length === 0;
      const had = actions.contains(document.activeElement);
      actions.hidden = !model.may("run");
      pause.hidden = schedule.paused !== null || !schedule.enabled || !model.may("admin");
      resume.hidden = schedule.paused === null || !model.may("admin");
      if (had && document.activeElement.closest("[hidden]")) (resume.hidden ? pause : resume).focus();
    },
  };
}

function standingOf({ enabled, paused }) {
  if (!enabled) return "disabled";
  return paused ? "paused" : "on";
}

function windowText(window) {
  return typeof window === "string" ? window : Object.values(window).join("–");
}

function nextOf({ next_due: due, next_start: start, paused, enabled }) {
  if (!enabled) return ["Switched off in its file."];
  if (paused) {
    const since = timeElement("relative");
    setTime(since, paused.since);
    return ["Paused by ", h("strong", {}, paused.by), " ", since, "."];
  }
  const at = start ?? due;
  if (!at) return ["Never due again."];
  const [relative, clock] = [timeElement("relative"), timeElement("clock")];
  setTime(relative, at);
  setTime(clock, at);
  return ["Next ", h("strong", {}, relative), " (", clock, ")"];
}

function startLine({ due_at: dueAt, state, sweep_id: sweepId, why, by }) {
  const mark = stateElement();
  setState(mark, state);
  const at = timeElement("relative");
  setTime(at, dueAt);
  return h("li", { title: absolute(Date.parse(dueAt)) }, at, " ", mark, " ", sweepId ? linkTo("sweeps", sweepId) : null, by ? ` by hand, by ${by}` : null, why ? ` ${why}` : null);
}
