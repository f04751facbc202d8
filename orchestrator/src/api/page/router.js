// Which view the address shows. Addresses are `#/devices/pixel-6?q=…`: they can be kept, sent, and gone back to.

/** The parts of an address and its query. */
export function parsed(hash) {
  const [path, query] = hash.replace(/^#\/?/, "").split("?", 2);
  return { parts: path.split("/").filter(Boolean).map(decoded), query: new URLSearchParams(query ?? "") };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The address of one thing. */
export function addressOf(kind, name) {
  return `#/${kind}/${encodeURIComponent(name)}`;
}

/** Puts a view's settings into the address, without a step in the history. */
export function keepQuery(query) {
  const path = location.hash.split("?")[0] || "#/";
  const text = query.toString();
  history.replaceState(null, "", text ? `${path}?${text}` : path);
}
