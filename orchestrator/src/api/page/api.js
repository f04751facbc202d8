// Calls of the daemon's HTTP API.

/** No answer takes longer. */
const TIMEOUT_MS = 20_000;

/** The daemon refused, or could not be reached (`status` 0). */
export class ApiError extends Error {
  constructor(status, error) {
    super(error.message);
    this.status = status;
    this.kind = error.kind;
    this.hint = error.hint ?? null;
  }
}

/** Reads something: `get("devices")` asks for `/api/v1/devices`. */
export function get(path) {
  return call("GET", path);
}

/** Does something. */
export function post(path, body = {}) {
  return call("POST", path, {
    headers: { "content-type": "application/json", "x-farmctl": "1" },
    body: JSON.stringify(body),
  });
}

/** All entries of a list. */
export async function list(path) {
  return (await get(path)).items;
}

/** The path of one thing, whatever its name is. */
export function pathOf(kind, name, ...more) {
  return [kind, encodeURIComponent(name), ...more].join("/");
}

/** The address of a report. */
export function reportAddress(sweepId, file) {
  return `/reports/${encodeURIComponent(sweepId)}/${encodeURIComponent(file)}`;
}

/** Starts a request, and gives its answer once that is a good one. */
export async function request(method, path, options = {}) {
  let response;
  try {
    response = await fetch(`/api/v1/${path}`, { method, cache: "no-store", credentials: "same-origin", ...options });
  } catch (error) {
    const message = error.name === "TimeoutError" ? "the daemon does not answer" : "the daemon cannot be reached";
    throw new ApiError(0, { kind: "unreachable", message });
  }
  if (!response.ok) throw new ApiError(response.status, await errorOf(response));
  return response;
}

async function call(method, path, options = {}) {
  const response = await request(method, path, { signal: AbortSignal.timeout(TIMEOUT_MS), ...options });
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/** What the daemon says is wrong; a proxy in between may say it in another form. */
async function errorOf(response) {
  try {
    const { error } = await response.json();
    if (typeof error.message === "string") return error;
  } catch {
    // No JSON: the status has to do.
  }
  return { kind: "http", message: `the daemon answered ${response.status} ${response.statusText}` };
}
