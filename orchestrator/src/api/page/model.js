// What the page knows of the lab. It changes by what the daemon says, and tells its listener once a frame what changed.

import { setClock, setZone } from "./time.js";

/** Of a flood, the newest are kept. */
const MOST_LINES = 300;
const MOST_SWEEPS = 500;

const ROLES = ["view", "run", "admin"];

export class Model {
  session = null;
  lab = null;
  devices = new Map();
  sweeps = new Map();
  schedules = new Map();
  /** The newest log lines of all devices. */
  lines = [];
  #changes = noChanges();
  #frame = 0;
  #told;

  /** `told(changes)` hears of changes, of any number at once. */
  constructor(told) {
    this.#told = told;
  }

  /** Whether the person at the page has this role, or one that may more. */
  may(role) {
    return ROLES.indexOf(this.session?.role) >= ROLES.indexOf(role);
  }

  /** All that is known is this. */
  load({ session, lab, devices, sweeps, schedules }) {
    this.session = session;
    this.devices = new Map(devices.map((device) => [device.name, device]));
    this.sweeps = new Map(sweeps.map((sweep) => [sweep.id, sweep]));
    this.schedules = new Map(schedules.map((schedule) => [schedule.name, schedule]));
    this.#changes.all = true;
    this.#takeLab(lab);
  }

  /** Whether the lab has other devices than those that are known: one was added or removed in a farm file. */
  hasOtherDevices() {
    const count = Object.values(this.lab.devices ?? {}).reduce((sum, some) => sum + some, 0);
    return count !== this.devices.size;
  }

  /** The devices are these, and no others. */
  loadDevices(devices) {
    this.devices = new Map(devices.map((device) => [device.name, device]));
    this.#changes.all = true;
    this.#later();
  }

  /** An event of the daemon, or an answer of it. Those of a later daemon that nobody knows are left aside. */
  apply(kind, body) {
    if (kind === "lab") this.#takeLab(body);
    else if (kind === "device") this.#take(this.devices, this.#changes.devices, body.name, body);
    else if (kind === "sweep") this.#takeSweep(body);
    else if (kind === "schedule") this.#take(this.schedules, this.#changes.schedules, body.name, body);
    else if (kind === "cell") this.#changes.cells.set(`${body.sweep_id} ${body.job_id}`, body);
    else if (kind === "log") this.#takeLine(body);
    this.#later();
  }

  #take(known, changed, key, value) {
    known.set(key, value);
    changed.add(key);
  }

  #takeLab(lab) {
    setClock(lab.now);
    if (lab.timezone !== this.lab?.timezone) setZone(lab.timezone);
    this.lab = lab;
    this.#changes.lab = true;
    this.#later();
  }

  #takeSweep(sweep) {
    this.#take(this.sweeps, this.#changes.sweeps, sweep.id, sweep);
    if (this.sweeps.size <= MOST_SWEEPS) return;
    const over = [...this.sweeps.values()].filter(isOver);
    if (over.length > 0) this.sweeps.delete(over.reduce((a, b) => (a.started_at < b.started_at ? a : b)).id);
  }

  #takeLine(line) {
    this.lines.push(line);
    this.#changes.lines = true;
    if (this.lines.length > MOST_LINES) this.lines.splice(0, this.lines.length - MOST_LINES);
  }

  #later() {
    if (this.#frame) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      const changes = this.#changes;
      this.#changes = noChanges();
      this.#told(changes);
    });
  }
}

function noChanges() {
  return {
    all: false,
    lab: false,
    lines: false,
    devices: new Set(),
    sweeps: new Set(),
    schedules: new Set(),
    cells: new Map(),
  };
}

/** Whether a sweep has come to its end. */
export function isOver(sweep) {
  return sweep.finished_at !== null && sweep.finished_at !== undefined;
}

/** Sweeps, the newest first. */
export function newestFirst(sweeps) {
  return [...sweeps].sort((a, b) => (a.started_at < b.started_at ? 1 : a.started_at > b.started_at ? -1 : 0));
}

/** When a sweep may be done: by what its devices say, or else, or when that is past, by its pace so far. Null when nothing tells. */
export function expectedEndMs(sweep, devices, now) {
  const used = [...devices].filter((device) => device.use?.sweep_id === sweep.id && device.use.done_at);
  const end = Math.max(...used.map((device) => Date.parse(device.use.done_at)));
  if (end > now) return end;
  const { jobs, open } = sweep.counts;
  const done = jobs - open;
  if (done === 0 || open === 0) return null;
  return now + ((now - Date.parse(sweep.started_at)) / done) * open;
}
