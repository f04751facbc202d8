// Elements. Text from devices and people is only ever set as text, never as markup.

/** What hides text, moves it, or changes the order in which it is read: the same as `wording/guard.rs` is against. */
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;

/** Text from outside, as it may be shown. */
export function guarded(text) {
  return String(text).replace(UNSAFE, " ");
}

let told = (text) => text;

/** How moments in a text become times that people read. */
export function tellTimesBy(tell) {
  told = tell;
}

/** Text from outside as people read it. */
export function readable(text) {
  return told(guarded(text));
}

/** An element with its attributes (`on…` are listeners; false and null leave one out) and its children. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else setAttribute(element, name, value);
  }
  element.append(...shown(children));
  return element;
}

function shown(children) {
  const there = children.filter((child) => child !== null && child !== undefined);
  return there.map((child) => (child instanceof Node ? child : readable(child)));
}

/** Sets an attribute, or removes it, when that changes something. */
export function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : guarded(value);
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

/** Sets the text of an element when it is another one. */
export function setText(element, text) {
  const wanted = readable(text ?? "");
  if (element.textContent !== wanted) element.textContent = wanted;
}

/** Replaces the children of an element when what they are made of (`key`, any JSON) is something else. */
export function setChildren(element, key, make) {
  const wanted = JSON.stringify(key);
  if (element.madeOf === wanted) return;
  element.madeOf = wanted;
  element.replaceChildren(...shown(make()));
}

/** Children of one element that stay the same elements while what they show changes. */
export class KeyedList {
  #parent;
  #make;
  #rows = new Map();

  /** `make(key)` gives `{ element, update(item) }`. */
  constructor(parent, make) {
    this.#parent = parent;
    this.#make = make;
  }

  get(key) {
    return this.#rows.get(key);
  }

  /** Shows these `[key, item]`, in this order. Only what is out of place is moved, and the focus stays. */
  set(entries) {
    const focused = document.activeElement;
    const wanted = new Set(entries.map(([key]) => key));
    for (const [key, row] of this.#rows) {
      if (wanted.has(key)) continue;
      row.element.remove();
      this.#rows.delete(key);
    }
    let next = this.#parent.firstElementChild;
    for (const [key, item] of entries) {
      let row = this.#rows.get(key);
      if (!row) {
        row = this.#make(key);
        this.#rows.set(key, row);
      }
      row.update(item);
      if (row.element === next) next = next.nextElementSibling;
      else this.#parent.insertBefore(row.element, next);
    }
    if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true });
  }
}

/** A table that scrolls sideways where it doesn't fit. The roles stay true when a narrow screen shows rows as cards. */
export function table(label, columns, body, attributes = {}) {
  const heads = columns.map((column) =>
    column instanceof Element ? column : h("th", { scope: "col", role: "columnheader", class: column.class }, column.text),
  );
  return h(
    "table",
    { role: "table", "aria-label": label, ...attributes },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ...heads)),
    body,
  );
}
