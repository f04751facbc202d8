// Which devices a person wants to see.

import { byName } from "./format.js";

/** Every status, those first that a person looks for. */
export const STATUSES = ["busy", "idle", "locked", "quarantined", "offline", "unauthorized", "unknown", "disabled"];

/** Whether a device is wanted: by its status, a tag, and words that each stand somewhere in what is known of it. */
export function matches(device, { status, tag, text }) {
  if (status && device.status !== status) return false;
  if (tag && !device.tags.includes(tag)) return false;
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const known = haystack(device);
  return words.every((word) => known.includes(word));
}

function haystack(device) {
  const { name, farm, status, detail, transport, model, soc, os, address, notes, lock, use } = device;
  return [name, farm, status, detail, transport, model, soc, os, address, notes, lock?.by, lock?.why, use?.model, ...device.tags]
    .filter(Boolean)
    .join("\n")
    .toLowerCase();
}

/** How many devices have each status. */
export function counted(devices) {
  const counts = new Map(STATUSES.map((status) => [status, 0]));
  for (const { status } of devices) counts.set(status, (counts.get(status) ?? 0) + 1);
  return counts;
}

/** Every tag that a device has, in order. */
export function tagsOf(devices) {
  return [...new Set([...devices].flatMap((device) => device.tags))].sort(byName);
}

/** Orders devices by one of their fields; those where it is not known come last, and names decide. */
export function compareBy(field, isDescending) {
  const value = new Map(Object.entries({
    status: (device) => STATUSES.indexOf(device.status),
    temperature: (device) => device.temperature_celsius,
    battery: (device) => device.battery_percent,
    free: (device) => device.free_bytes,
    until: (device) => endOf(device),
  })).get(field);
  return (a, b) => {
    if (!value) return (isDescending ? -1 : 1) * byName(a.name, b.name);
    const [x, y] = [value(a) ?? null, value(b) ?? null];
    if (x === y) return byName(a.name, b.name);
    if (x === null || y === null) return x === null ? 1 : -1;
    return (x < y ? -1 : 1) * (isDescending ? -1 : 1);
  };
}

/** Until when a device is taken: by its lock or by its work. */
export function endOf(device) {
  return device.status === "locked" ? device.lock?.until ?? null : device.use?.done_at ?? null;
}
