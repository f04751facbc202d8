// Server-sent events out of the bytes of a stream. EventSource would hide the comments that show that the daemon lives,
// and the status of a refusal.

/** An event is never longer: more without an end is no stream of events. */
const LONGEST = 4 * 1024 * 1024;

/** Takes pieces of text as they come, and gives the events that are complete. */
export class EventParser {
  #rest = "";

  /** Events `{ kind, data }` that end in this piece. */
  take(piece) {
    this.#rest += piece;
    const blocks = this.#rest.split(/\r?\n\r?\n/);
    this.#rest = blocks.pop();
    if (this.#rest.length > LONGEST) throw new Error("an event of the daemon has no end");
    return blocks.map(parsed).filter((event) => event.data !== "");
  }
}

function parsed(block) {
  let kind = "message";
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") kind = value;
    if (field === "data") data.push(value);
  }
  return { kind, data: data.join("\n") };
}
