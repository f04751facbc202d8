// Those parts of the page that compute, without a browser.

import assert from "node:assert/strict";
import { test } from "node:test";

const source = new URL("../../src/api/page/", import.meta.url);
const { guarded, readable } = await import(new URL("dom.js", source));
const { EventParser } = await import(new URL("events.js", source));
const { compareBy, counted, matches } = await import(new URL("filter.js", source));
const { bytes, byName, failureText, inUnit, latency, milliseconds, percent, signed, unitOf } = await import(new URL("format.js", source));
const { columnsOf, summary } = await import(new URL("matrix.js", source));
const { expectedEndMs } = await import(new URL("model.js", source));
const { standingOf } = await import(new URL("parts.js", source));
const { parsed } = await import(new URL("router.js", source));
const { absolute, duration, relative, setZone } = await import(new URL("time.js", source));
const { workText } = await import(new URL("utilisation.js", source));
const { drawn, factTexts } = await import(new URL("view-history.js", source));
const { previewLines } = await import(new URL("view-start.js", source));
const { doubtGroups, failureGroups } = await import(new URL("sweep-groups.js", source));
const { placed, rangeText, roundUp, trustText } = await import(new URL("trust.js", source));

function device(name, more = {}) {
  return { name, status: "idle", tags: [], lock: null, use: null, temperature_celsius: null, ...more };
}

test("events come out of a stream however it is cut", () => {
  const stream = 'event: device\ndata: {"a":1}\n\n: nothing\n\nevent: lab\r\ndata: x\r\ndata: y\r\n\r\ndata: z\n\n';
  const whole = [{ kind: "device", data: '{"a":1}' }, { kind: "lab", data: "x\ny" }, { kind: "message", data: "z" }];
  for (let size = 1; size <= stream.length; size += 1) {
    const parser = new EventParser();
    const found = [];
    for (let at = 0; at < stream.length; at += size) found.push(...parser.take(stream.slice(at, at + size)));
    assert.deepEqual(found, whole, `in pieces of ${size}`);
  }
});

test("nothing from outside hides text or changes its order", () => {
  for (const code of [0, 7, 0x1b, 0x7f, 0x9b, 0x61c, 0x200b, 0x200f, 0x2028, 0x202e, 0x2067, 0xfeff, 0xfffa, 0xe0041]) {
    assert.equal(guarded(`a${String.fromCodePoint(code)}b`), "a b", code.toString(16));
  }
  assert.equal(guarded("naïve ☃ 👩\u200d🔬 א\nb"), "naïve ☃ 👩\u200d🔬 א\nb");
});

test("an event without an end is refused", () => {
  const parser = new EventParser();
  assert.throws(() => {
    for (let at = 0; at < 6; at += 1) parser.take("x".repeat(1 << 20));
  }, /no end/);
});

test("devices are found by words, status and tag", () => {
  const one = device("pixel-6", { tags: ["phone", "rack=2"], soc: "Tensor", lock: { by: "anna", why: "debugging" } });
  const cases = [
    [{ text: "" }, true], [{ text: "PIXEL tensor" }, true], [{ text: "pixel exynos" }, false], [{ text: "rack=2 anna" }, true],
    [{ text: "", status: "idle" }, true], [{ text: "", status: "busy" }, false],
    [{ text: "", tag: "rack=2" }, true], [{ text: "", tag: "rack=" }, false],
  ];
  for (const [wanted, is] of cases) assert.equal(matches(one, wanted), is, JSON.stringify(wanted));
  assert.equal(counted([one, device("b", { status: "busy" })]).get("busy"), 1);
});

test("devices are ordered, and those that nothing is known of come last both ways", () => {
  const all = [device("b-10", { temperature_celsius: 40 }), device("b-9"), device("b-2", { temperature_celsius: 30 })];
  const names = (order) => [...all].sort(order).map(({ name }) => name);
  assert.deepEqual(names(compareBy("name", false)), ["b-2", "b-9", "b-10"]);
  assert.deepEqual(names(compareBy("temperature", false)), ["b-2", "b-10", "b-9"]);
  assert.deepEqual(names(compareBy("temperature", true)), ["b-10", "b-2", "b-9"]);
});

test("the end of a sweep is what its devices say, or else its pace", () => {
  const now = Date.parse("2026-11-25T12:10:00Z");
  const sweep = { id: "s", started_at: "2026-11-25T12:00:00Z", counts: { jobs: 4, open: 3 } };
  assert.equal(expectedEndMs(sweep, [], now), now + 30 * 60_000);
  const use = (sweepId, at) => device("d", { use: { sweep_id: sweepId, done_at: at } });
  const devices = [use("s", "2026-11-25T12:15:00Z"), use("s", "2026-11-25T12:12:00Z"), use("t", "2026-11-25T14:00:00Z")];
  assert.equal(expectedEndMs(sweep, devices, now), Date.parse("2026-11-25T12:15:00Z"));
  assert.equal(expectedEndMs(sweep, [use("s", "2026-11-25T12:01:00Z")], now), now + 30 * 60_000, "what they say is past");
  assert.equal(expectedEndMs({ ...sweep, counts: { jobs: 4, open: 4 } }, [], now), null);
});

function cell(model, more = {}) {
  return { device: "d", job_id: model, model, weights: "synthetic", backend: "tract", precision: "fp32", threads: "1", batch: 1, repeat: 1, state: "ok", p50_ms: 1, failure: null, ...more };
}

test("the matrix has a column for what differs, in the order of the sweep", () => {
  const columns = (...cells) => columnsOf(cells).columns.map(({ model, label }) => `${model}/${label}`);
  assert.deepEqual(columns(cell("z"), cell("a")), ["z/", "a/"]);
  assert.deepEqual(columns(cell("z"), cell("a"), cell("z", { threads: "4" })), ["z/1 thread", "z/4 threads", "a/1 thread"]);
  assert.deepEqual(columns(cell("z"), cell("z", { repeat: 2 })), ["z/"]);
});

test("repeats in one place show the worst of them and the median", () => {
  const ok = (p50) => cell("m", { p50_ms: p50 });
  assert.deepEqual(summary([ok(3), ok(1), ok(2)]), { state: "ok", p50: 2, doubt: null });
  assert.deepEqual(summary([ok(3), cell("m", { state: "failed", p50_ms: null })]), { state: "failed", p50: 3, doubt: null });
});

test("of what was measured again a place shows what counts, and marks what is doubtful", () => {
  const again = (more) => cell("m", { rerun: 1, ...more });
  const first = cell("m", { p50_ms: 9, verdict: "noisy", verdict_reason: "± 9 %", counts: false });
  assert.deepEqual(summary([first, again({ p50_ms: 3, verdict: "ok", counts: true })]), { state: "ok", p50: 3, doubt: null });
  assert.deepEqual(summary([first, again({ p50_ms: 3, verdict: "unsteady", counts: true })]), { state: "ok", p50: 3, doubt: "unsteady" });
  const counting = { ...first, counts: true };
  assert.deepEqual(summary([counting, again({ state: "waiting", p50_ms: null, counts: false })]).state, "waiting");
  assert.deepEqual(summary([counting, again({ state: "failed", p50_ms: null, counts: false })]), { state: "ok", p50: 9, doubt: "noisy" });
  const groups = doubtGroups([first, counting, cell("z", { verdict: "noisy", counts: true }), cell("y", { verdict: "ok" }), cell("x")]);
  assert.deepEqual(groups.map(({ key, cells }) => [key, cells.length]), [["noisy", 2]]);
  assert.equal(groups[0].cells[0], "d · m · tract · fp32 · repeat 1: ± 9 %");
});

test("cells without a result stand together by their reason", () => {
  const failed = (name, failure) => cell(name, { state: "failed", failure });
  const groups = failureGroups([failed("a", "hot: x"), failed("b", { kind: "hot", message: "x", hint: "cool it" }), failed("c", "lost"), cell("d")]);
  assert.deepEqual(groups.map(({ why, cells }) => [why, cells.length]), [["hot: x", 2], ["lost", 1]]);
  assert.equal(failureText(null), "");
  const of = (device, text) => ({ ...failed("m", `hot: ${text}`), device, failure_of_any: "hot: the device is hot", remedy: `cool ${device}` });
  const [both] = failureGroups([of("d1", "d1 is hot"), of("d2", "d2 is hot")]);
  assert.deepEqual([both.why, both.cells.length, both.hint], ["hot: the device is hot", 2, null], "one failure of two devices");
  assert.equal(failureGroups([of("d1", "d1 is hot")])[0].why, "hot: d1 is hot");
  assert.equal(failureGroups([of("d1", "d1 is hot")])[0].hint, "cool d1");
});

test("a sweep is marked as well only where nothing failed", () => {
  const counts = { ok: 2, failed: 0 };
  assert.deepEqual(standingOf({ state: "finished", counts }), ["finished", "finished"]);
  assert.deepEqual(standingOf({ state: "finished", counts: { ok: 2, failed: 1 } }), ["finished", "failed"]);
  assert.deepEqual(standingOf({ state: "finished", counts: { ok: 0, failed: 0 } }), ["finished", "skipped"]);
  assert.deepEqual(standingOf({ state: "running", counts: { ok: 0, failed: 1 } }), ["running", "running"]);
});

test("no word of an address is taken for another thing than a field", () => {
  const all = [device("b"), device("a")];
  assert.deepEqual([...all].sort(compareBy("__proto__", false)).map(({ name }) => name), ["a", "b"]);
  assert.deepEqual([...all].sort(compareBy("constructor", true)).map(({ name }) => name), ["b", "a"]);
});

test("what a sweep would do is told before it begins", () => {
  const lines = previewLines({ jobs: 3, seconds: 200, devices: [{ device: "a", jobs: 1, seconds: 20 }, { device: "b", jobs: 2, seconds: 200 }], skipped: [{ cells: 1, why: "off" }] });
  assert.deepEqual(lines, ["3 cells on 2 devices, about 3 min 20 s by the limits of the sweep, b the longest.", "1 cell skipped: off"]);
});

test("devices that may be one machine are told before a sweep begins", () => {
  const lines = previewLines({ jobs: 2, seconds: 20, devices: [{ device: "a", jobs: 2, seconds: 20 }], skipped: [], remarks: ["a, b are this host"] });
  assert.equal(lines.at(-1), "a, b are this host");
});

test("times in sentences are those of the lab's zone", () => {
  setZone("Asia/Kolkata");
  assert.equal(readable("locked until 2026-11-25T12:00:00Z: why"), `locked until ${absolute(Date.parse("2026-11-25T12:00:00Z"))}: why`);
  assert.match(readable("2026-11-25T12:00:00.123Z."), /^2026-11-25 17:30:00 .*\.$/);
  for (const same of ["20261125-120000-all-7f3a", "2026-11-25T12:00:00+01:00", "x2026-11-25T12:00:00Z", "2026-13-25T12:00:00Z"]) {
    assert.equal(readable(same), same);
  }
  setZone("UTC");
  assert.match(readable("until 2026-11-25T12:00:00Z"), /^until 2026-11-25 12:00:00 UTC$/);
});

test("figures and times are written as people read them", () => {
  assert.deepEqual([bytes(0), bytes(1536), bytes(5.4 * 2 ** 30), bytes(null)], ["0 B", "1.5 KiB", "5.4 GiB", ""]);
  assert.deepEqual([milliseconds(1.234), milliseconds(12.34), milliseconds(123.4), milliseconds(0)], ["1.23", "12.3", "123", "0"]);
  assert.deepEqual([0.000_691, 0.0104, 0.0446, 0.444].map(milliseconds), ["0.000691", "0.0104", "0.0446", "0.444"]);
  assert.deepEqual([0.000_691, 0.0446, 0.444, null].map(latency), ["0.691 µs", "44.6 µs", "0.444 ms", ""]);
  assert.deepEqual([unitOf([0.01, null]), unitOf([0.01, 5]), unitOf([null])], ["µs", "ms", "ms"]);
  assert.equal(inUnit(0.0446, "µs"), "44.6");
  assert.deepEqual([0, 59, 200, 3_599, 3_840, 90_000].map(duration), ["0 s", "59 s", "3 min 20 s", "59 min", "1 h 4 min", "1 d 1 h"]);
  const now = Date.parse("2026-11-25T12:00:00Z");
  assert.deepEqual([-2, -59, -3_600, 300, 3 * 86_400].map((s) => relative(now + s * 1000, now)), ["now", "59 s ago", "1 h ago", "in 5 min", "in 3 d"]);
  assert.deepEqual(["b10", "b9", "a"].sort(byName), ["a", "b9", "b10"]);
});

test("shares are told so that nothing that is there is lost by rounding", () => {
  const shares = [0, 0.000_4, 0.001, 0.012, 0.099_9, 0.1, 0.123, 0.5, 0.994, 0.995, 0.999, 0.999_6, 1];
  const told = ["0 %", "< 0.1 %", "0.1 %", "1.2 %", "10.0 %", "10 %", "12 %", "50 %", "99 %", "99.5 %", "99.9 %", "> 99.9 %", "100 %"];
  const plain = (text) => text.replaceAll("\u00a0", " ");
  assert.deepEqual(shares.map(percent).map(plain), told);
  const work = (more) => plain(workText({ jobs_per_day: 0, attempts: 0, failed: 0, failed_by_kind: {}, ...more }));
  assert.equal(work({}), "No job was tried.");
  assert.equal(work({ jobs_per_day: 1 / 7, attempts: 1 }), "0.1 jobs a day · the 1 attempt did not fail");
  assert.equal(work({ jobs_per_day: 34.3, attempts: 240 }), "34 jobs a day · none of 240 attempts failed");
  const failed = { attempts: 200, jobs_per_day: 28, failed: 0.02, failed_by_kind: { crashed: 0.005, connection_lost: 0.015 } };
  assert.equal(work(failed), "28 jobs a day · 2.0 % of 200 attempts failed: connection lost 1.5 %, crashed 0.5 %");
});

test("addresses hold any name", () => {
  const name = "a b/ü?#%";
  assert.deepEqual(parsed(`#/devices/${encodeURIComponent(name)}?q=x%26y`).parts, ["devices", name]);
  assert.equal(parsed("#/devices/%E0%A4%A?q=a%26b").query.get("q"), "a&b");
});

test("all times are of the lab's zone, which is named", () => {
  const at = Date.parse("2026-07-01T22:30:00Z");
  assert.equal(absolute(at), "2026-07-01 22:30:00 UTC");
  setZone("Asia/Kolkata");
  assert.match(absolute(at), /^2026-07-02 04:00:00 (GMT\+5:30|IST)$/);
  setZone("Europe/Berlin");
  const zone = (text) => absolute(Date.parse(text)).split(" ").pop();
  const [winter, summer] = [zone("2026-02-10T00:00:00Z"), zone("2026-05-10T00:00:00Z")];
  assert.notEqual(winter, summer);
  for (const [moment, wanted] of [["2026-03-29T00:59:59Z", winter], ["2026-03-29T01:00:00Z", summer], ["2026-10-25T00:59:59Z", summer], ["2026-10-25T01:00:00Z", winter]]) {
    assert.equal(zone(moment), wanted, moment);
  }
  setZone("UTC");
});

test("what changed is told by the fields that did", () => {
  const limits = (max_runs, extra) => JSON.stringify({ min_runs: 1, max_runs, ...extra });
  assert.deepEqual(factTexts({ fact: "limits", before: limits(20), after: limits(30, { steady: 2 }) }), ["limits max_runs 20 → 30", "limits steady unknown → 2"]);
  assert.deepEqual(factTexts({ fact: "os", before: "Debian 12", after: null }), ["os Debian 12 → unknown"]);
  assert.deepEqual(factTexts({ fact: "inputs", before: '{"a":[1]}', after: '{"a":[2]}' }), ['inputs {"a":[1]} → {"a":[2]}'], "no plain values");
  assert.deepEqual(factTexts({ fact: "runner", before: "ab".repeat(32), after: "{" }), [`runner ${"ab".repeat(6)}… → {`]);
});

test("a history has a line for each series, and a mark where its level changed", () => {
  const point = (sweep, ms, series) => ({ sweep_id: sweep, p50_ms: ms, series });
  const points = [point("a", 10, 1), point("b", 10, 1), point("c", 20, 1), point("d", 15, 2)];
  const { lines, marks, dots } = drawn(points, [{ sweep_id: "c", kind: "slower" }, { sweep_id: "gone", kind: "faster" }]);
  assert.deepEqual(lines, ["M0.0 112.0L200.0 112.0L400.0 8.0", "M600.0 60.0"]);
  assert.deepEqual(marks, [{ x: "400.0", kind: "slower" }], "what is not shown has no mark");
  assert.equal(dots.length, 4);
  assert.deepEqual(drawn([point("a", 10, 1), point("b", 10, 1)], []).lines, ["M0.0 60.0L600.0 60.0"], "what does not move is straight");
  assert.deepEqual([signed(3.21), signed(-0.96), signed(0)], ["+3.2", "−1.0", "+0.0"]);
});

test("trust over time stands where its weeks are, and is told in a sentence", () => {
  const week = (first_day, within_percent) => ({ first_day, within_percent, judged: 4, doubtful: 1, pairs: 3, pairs_within: 3, runs: 4 });
  // The last Sunday of October has 25 hours in many zones; two weeks are without a run.
  const { width, periods } = placed([week("2026-10-19", 1), week("2026-10-26", 2), week("2026-11-16", 3)], "week");
  assert.equal(width, 1 / 5);
  assert.deepEqual(periods.map(({ x, isNext }) => [Math.round(x * 10), isNext]), [[1, false], [3, true], [9, false]]);
  assert.deepEqual([0, 0.7, 1, 1.01, 2.5, 5, 37, 100].map(roundUp), [1, 1, 1, 2, 5, 5, 50, 100]);
  assert.deepEqual([[], [1.5], [2, 1.26], [3, 3]].map((values) => rangeText(values, "week")),
    ["not known", "1.50 %", "1.26 to 2.00 %, 1.26 % in the last week with runs", "3.00 %, 3.00 % in the last week with runs"]);
  const known = { runs: 20, pairs: 10, pairs_within: 9, within_percent: 1.84, judged: 20, doubtful: 3, siblings: 1, slower_percent: -2.1 };
  assert.equal(trustText(known), "Of the newest 20 runs: its runs repeat within 1.84 % in 9 of 10 pairs · 3 of 20 are doubtful · 2.10 % quicker than its sibling.");
  assert.equal(trustText({ ...known, runs: 1, within_percent: null, judged: 0, slower_percent: null }), "Of the newest 1 run: nothing was measured twice on it.");
  assert.equal(trustText({ ...known, runs: 0 }), "Nothing was measured on it yet.");
});
