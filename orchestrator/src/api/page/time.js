// Times as people read them. The daemon's clock counts, not this computer's.

import { h, setAttribute, setText, tellTimesBy } from "./dom.js";

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
let aheadMs = 0;

/** The daemon says what time it is. */
export function setClock(now) {
  aheadMs = Date.parse(now) - Date.now();
}

/** Milliseconds since 1970, by the daemon's clock. */
export function nowMs() {
  return Date.now() + aheadMs;
}

/** For example «3 min 20 s». */
export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < MINUTE) return `${s} s`;
  if (s < 10 * MINUTE) return two(s, MINUTE, "min", 1, "s");
  if (s < HOUR) return `${Math.floor(s / MINUTE)} min`;
  if (s < DAY) return two(s, HOUR, "h", MINUTE, "min");
  return two(s, DAY, "d", HOUR, "h");
}

function two(s, large, largeName, small, smallName) {
  const rest = Math.floor((s % large) / small);
  return `${Math.floor(s / large)} ${largeName}${rest ? ` ${rest} ${smallName}` : ""}`;
}

/** For example «4 min ago», «in 2 h», or a date when that is long ago. */
export function relative(atMs, now = nowMs()) {
  const s = Math.round((atMs - now) / 1000);
  const far = Math.abs(s);
  if (far < 5) return "now";
  if (s <= -21 * DAY) return day(atMs);
  const unit = far < MINUTE ? [1, "s"] : far < HOUR ? [MINUTE, "min"] : far < 2 * DAY ? [HOUR, "h"] : [DAY, "d"];
  const text = `${Math.floor(far / unit[0])} ${unit[1]}`;
  return s < 0 ? `${text} ago` : `in ${text}`;
}

let forms = formsOf("UTC");

/** A moment of UTC in a sentence of the daemon's. */
const MOMENT = /(?<![\w+-])\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z(?!\w)/g;

/** All times are of one zone, which the daemon names: whoever looks from elsewhere speaks of the same hour. */
export function setZone(name) {
  zones.clear();
  tellTimesBy((text) => text.replace(MOMENT, (moment) => (isNaN(Date.parse(moment)) ? moment : absolute(Date.parse(moment)))));
  try {
    forms = formsOf(name);
  } catch {
    forms = formsOf("UTC"); // a browser that does not know the zone
  }
}

function formsOf(timeZone) {
  return {
    date: new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeZone }),
    clock: new Intl.DateTimeFormat("sv-SE", { hour: "2-digit", minute: "2-digit", timeZone }),
    whole: new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium", timeZone }),
    zone: new Intl.DateTimeFormat("en", { timeZoneName: "short", timeZone }),
  };
}

function day(atMs) {
  return forms.date.format(atMs);
}

/** The name of the zone by months that have one: to ask for it takes long, and thousands of times may be shown. */
const zones = new Map();

/** The name of the zone as clocks of that moment have it. */
function zoneAt(atMs) {
  const at = new Date(atMs);
  const [year, month] = [at.getUTCFullYear(), at.getUTCMonth()];
  const key = 12 * year + month;
  if (!zones.has(key)) {
    const [first, last] = [Date.UTC(year, month, 1), Date.UTC(year, month + 1, 1) - 1].map(zoneNameAt);
    zones.set(key, first === last ? first : null);
  }
  return zones.get(key) ?? zoneNameAt(atMs);
}

function zoneNameAt(atMs) {
  return forms.zone.formatToParts(atMs).find((part) => part.type === "timeZoneName").value;
}

/** Date, time and zone. */
export function absolute(atMs) {
  return `${forms.whole.format(atMs)} ${zoneAt(atMs)}`;
}

/** The time of day to the second, with the date when it is not today. */
export function clockWithSeconds(atMs) {
  const whole = forms.whole.format(atMs);
  return day(atMs) === day(nowMs()) ? whole.slice(11) : whole;
}

/** The time of day with its zone, and with the date when it is not today. */
export function clock(atMs) {
  const time = `${forms.clock.format(atMs)} ${zoneAt(atMs)}`;
  return day(atMs) === day(nowMs()) ? time : `${day(atMs)} ${time}`;
}

const FORMS = {
  relative,
  until: (atMs) => (atMs > nowMs() ? relative(atMs) : atMs > nowMs() - 90_000 ? "soon" : "overdue"), // told in whole minutes
  clock,
  since: (atMs) => duration((nowMs() - atMs) / 1000),
};

/** An element that shows a time, and goes on showing it right. `form`: relative, until, clock, or since. */
export function timeElement(form = "relative", at = null) {
  const element = h("time", { "data-form": form });
  setTime(element, at);
  return element;
}

/** Sets the time of such an element; null empties it. */
export function setTime(element, at) {
  setAttribute(element, "datetime", at);
  setAttribute(element, "title", at && absolute(Date.parse(at)));
  setText(element, at ? FORMS[element.dataset.form](Date.parse(at)) : "");
}

/** Renews what the times on the page say. Writes only those that say something else. */
export function renewTimes(root = document) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    setText(element, FORMS[element.dataset.form](Date.parse(element.dateTime)));
  }
}
