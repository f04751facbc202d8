"use strict";
// The table is filtered, sorted and copied, and every number leads to its run. Without this script the page is read as it is.
(async () => {
  const packed = document.getElementById("data")?.content.textContent.trim();
  if (!packed || !("DecompressionStream" in window)) return;
  const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const data = JSON.parse(await new Response(stream).text());
  const STEP = 200;
  const tools = document.getElementById("tools");
  const words = document.getElementById("words");
  const shownText = document.getElementById("shown");
  const more = document.getElementById("more");
  const body = document.querySelector("#results tbody");
  const heads = [...document.querySelectorAll("#results thead th")];
  const dialog = document.getElementById("run");
  const collator = new Intl.Collator("en", { numeric: true });
  const all = [...Array(data.count).keys()];
  const state = { order: all, found: all, limit: body.rows.length || STEP };
  const linked = data.table.findIndex((column) => column.is_number && column.name.startsWith("p50"));

  function value(values, row) {
    if ("same" in values) return values.same;
    if ("few" in values) return values.few[0][values.few[1][row]];
    return values.each[row];
  }

  function told(name, row) {
    const column = data.columns.find((one) => one.name === name);
    return column ? valueOf(column, row) : "";
  }

  function valueOf(column, row) {
    if (column.values !== "run_id") return value(column.values, row);
    const attempt = told("attempt", row);
    return attempt === "" || attempt === "0" ? "" : `${told("sweep_id", row)}-${told("job_id", row)}-${attempt}`;
  }

  function element(name, text, attributes = {}) {
    const made = document.createElement(name);
    made.textContent = text;
    for (const [key, is] of Object.entries(attributes)) if (is) made.setAttribute(key, is);
    return made;
  }

  function rowOf(row) {
    const line = element("tr", "", { class: value(data.class, row) });
    data.table.forEach((column, index) => {
      const text = value(column.values, row);
      const cell = element(index === 0 ? "th" : "td", "", { class: column.is_number && "n", scope: index === 0 && "row" });
      if (text !== "" && (index === linked || index === data.table.length - 1)) cell.append(element("a", text, { href: `#run-${row}` }));
      else cell.textContent = text;
      line.append(cell);
    });
    return line;
  }

  function show() {
    body.replaceChildren(...state.found.slice(0, state.limit).map(rowOf));
    tell();
  }

  function tell() {
    const { found, limit } = state;
    const rows = found.length === data.count ? `${data.count} rows` : `${found.length} of ${data.count} rows`;
    shownText.textContent = found.length > limit ? `${rows}, the first ${limit} are shown` : rows;
    more.hidden = found.length <= limit;
  }

  const texts = [];
  function textOf(row) {
    texts[row] ??= data.table.map((column) => value(column.values, row)).concat(told("tags", row), told("status", row), told("verdict_reason", row)).join("\n").toLowerCase();
    return texts[row];
  }

  function filter() {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    state.found = wanted.length === 0 ? state.order : state.order.filter((row) => wanted.every((word) => textOf(row).includes(word)));
    state.limit = STEP;
    show();
  }

  /** What has no number comes last, both ways. */
  function sortBy(index) {
    const column = data.table[index];
    const isDown = heads[index].getAttribute("aria-sort") === "ascending";
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[index].setAttribute("aria-sort", isDown ? "descending" : "ascending");
    const way = isDown ? -1 : 1;
    state.order = [...all].sort((a, b) => {
      const [x, y] = [value(column.values, a), value(column.values, b)];
      if ((x === "") !== (y === "")) return x === "" ? 1 : -1;
      const [m, n] = [parseFloat(x), parseFloat(y)];
      return (column.is_number && !isNaN(m) && !isNaN(n) ? m - n : collator.compare(x, y)) * way || a - b;
    });
    filter();
  }

  /** A text that a spreadsheet would run gets an apostrophe in front. */
  function csvCell(text, isNumber) {
    const safe = !isNumber && /^[=+\-@]/.test(text) ? `'${text}` : text;
    return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  }

  async function copy() {
    const lines = [data.table.map((column) => csvCell(column.name)).join(",")];
    for (const row of state.found) lines.push(data.table.map((column) => csvCell(value(column.values, row), column.is_number)).join(","));
    const text = `${lines.join("\n")}\n`;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Pages that are not served securely have no clipboard.
      const area = element("textarea", text, { class: "unseen", "aria-hidden": "true" });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    shownText.textContent = `${state.found.length} rows are copied`;
  }

  function showRun(row) {
    const list = dialog.querySelector("dl");
    list.replaceChildren();
    for (const column of data.columns) {
      const text = valueOf(column, row);
      if (text === "") continue;
      list.append(element("dt", column.name), element("dd", column.unit ? `${text} ${column.unit}` : text));
    }
    dialog.querySelector("h2").textContent = `${told("device", row)}: ${told("model", row)}`;
    const run = valueOf({ ...data.columns.find((column) => column.name === "run_id"), name: "run_id" }, row);
    dialog.querySelector("code").textContent = `SELECT latency_ns FROM 'samples.parquet' WHERE run_id = '${run}'`;
    dialog.querySelector(".raw").hidden = run === "";
    if (!dialog.open) dialog.showModal();
  }

  function decoded(name) {
    try {
      return decodeURIComponent(name);
    } catch {
      return name;
    }
  }

  function follow() {
    const [, kind, name] = /^#(run|find)-(.*)$/.exec(location.hash) ?? [];
    if (kind === "run" && +name < data.count) showRun(+name);
    if (kind === "find") {
      words.value = decoded(name);
      filter();
      document.getElementById("results-title").scrollIntoView();
      words.focus();
    }
  }

  heads.forEach((head, index) => {
    const button = element("button", head.textContent, { type: "button", title: "Sort" });
    button.addEventListener("click", () => sortBy(index));
    head.replaceChildren(button);
  });
  words.addEventListener("input", filter);
  document.getElementById("copy").addEventListener("click", copy);
  more.addEventListener("click", () => {
    state.limit += STEP;
    show();
  });
  dialog.addEventListener("close", () => history.replaceState(null, "", location.pathname + location.search));
  addEventListener("hashchange", follow);
  addEventListener("beforeprint", () => {
    if (state.limit >= state.found.length) return;
    state.limit = state.found.length;
    show();
  });
  tools.hidden = false;
  tell();
  document.documentElement.dataset.ready = "";
  follow();
})();
