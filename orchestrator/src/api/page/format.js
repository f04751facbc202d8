// Figures and words as the page shows them.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** For example «5.4 GiB»; what is not known is empty. */
export function bytes(count) {
  if (count === null || count === undefined) return "";
  let unit = 0;
  let value = count;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** With so many digits after the point; what is not known is empty. */
export function fixed(value, digits) {
  return value === null || value === undefined ? "" : value.toFixed(digits);
}

/** With its sign and one digit after the point: «+3.2», «−1.0». */
export function signed(value) {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;
}

/** A number with three figures that count, and all that stand before the point. */
export function figures(value) {
  if (value === null || value === undefined) return "";
  if (value === 0) return "0";
  const digits = Math.min(9, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value)))));
  return value.toFixed(digits);
}

/** Milliseconds with three figures that count, however small. */
export function milliseconds(value) {
  return figures(value);
}

/** The unit in which these milliseconds are read best, the same for all of them. */
export function unitOf(all) {
  const known = all.filter((ms) => ms !== null && ms !== undefined);
  return known.length > 0 && known.every((ms) => ms < 0.1) ? "µs" : "ms";
}

/** Milliseconds as a number of that unit. */
export function inUnit(ms, unit) {
  return ms === null || ms === undefined ? "" : figures(unit === "µs" ? ms * 1000 : ms);
}

/** A time with its unit: «1.23 ms», «0.691 µs». */
export function latency(ms) {
  return ms === null || ms === undefined ? "" : `${inUnit(ms, unitOf([ms]))} ${unitOf([ms])}`;
}

/** A share from 0 to 1 as «12 %», or «1.2 %» where it is small; what is there is never «0 %», and what lacks something never «100 %». */
export function percent(share) {
  const value = 100 * share;
  if (value > 0 && value < 0.1) return "<\u00a00.1\u00a0%";
  if (value < 100 && value >= 99.95) return ">\u00a099.9\u00a0%";
  const digits = value === 0 || value === 100 || (value >= 10 && value < 99.5) ? 0 : 1;
  return `${value.toFixed(digits)}\u00a0%`;
}

/** «1 job», «3 jobs». */
export function many(count, one, more = `${one}s`) {
  return `${count} ${count === 1 ? one : more}`;
}

/** Those that are there, with a dot between. */
export function joined(...parts) {
  return parts.filter((part) => part !== null && part !== undefined && part !== "").join(" · ");
}

const natural = new Intl.Collator("en", { numeric: true });

/** Orders names as people do: pixel-9 before pixel-10. */
export function byName(a, b) {
  return natural.compare(a, b);
}

/** What went wrong with a cell, in one line. */
export function failureText(failure) {
  if (!failure) return "";
  if (typeof failure === "string") return failure;
  return [failure.kind, failure.message].filter(Boolean).join(": ");
}
