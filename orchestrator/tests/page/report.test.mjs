// The page of a sweep's report, from its file and from the daemon: it is filtered, sorted and copied, and leads to runs.

import assert from "node:assert/strict";
import { readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { expectAccessible, open, person, setUp } from "./browser.mjs";
import { farmctl, told } from "./lab.mjs";

const REPORTS = join(process.env.PAGE_TEST_LAB, "reports");

/** Three sweeps, so that there is something to compare and a history. */
const here = setUp(async () => {
  for (let times = 0; times < 3; times += 1) await farmctl("sweep", "configs/digits.yaml");
});

function latest() {
  return readlinkSync(join(REPORTS, "latest"));
}

function file() {
  return pathToFileURL(join(REPORTS, latest(), "index.html")).href;
}

async function ready(page, url) {
  await page.goto(url);
  await page.locator("html[data-ready]").waitFor();
}

test("the report is clean at three widths, in light and dark, and on paper", async () => {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [400, 900, 1400]) {
      const { page, expectClean, close } = await person(here.browser, { colorScheme, viewport: { width, height: 900 } });
      await ready(page, file());
      await expectAccessible(page, `report ${colorScheme} ${width}`);
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wider <= 0, `the report is ${wider} px wider than a screen of ${width}`);
      await page.locator("#results tbody a").first().click();
      await page.getByRole("dialog").waitFor();
      await expectAccessible(page, `run ${colorScheme} ${width}`);
      await expectClean();
      await close();
    }
  }
  const { page, close } = await person(here.browser);
  await ready(page, file());
  await page.emulateMedia({ media: "print" });
  assert.ok(await page.locator("#tools").isHidden());
  assert.ok(await page.locator("#results").isVisible());
  await close();
});

test("the page of a comparison is clean at three widths, in light and dark", async () => {
  const sweeps = await told("sweeps", "list");
  const [one, other] = sweeps.map((sweep) => sweep.id);
  const pages = { two: ["compare", one, other], within: ["compare", one, "--across", "threads"] };
  for (const [name, words] of Object.entries(pages)) {
    const path = join(process.env.PAGE_TEST_LAB, `${name}.html`);
    writeFileSync(path, await farmctl("--format", "html", ...words));
    for (const colorScheme of ["light", "dark"]) {
      for (const width of [400, 900, 1400]) {
        const { page, expectClean, close } = await person(here.browser, { colorScheme, viewport: { width, height: 900 } });
        await page.goto(pathToFileURL(path).href);
        assert.ok((await page.locator("#cells tbody tr").count()) > 0);
        await expectAccessible(page, `${name} ${colorScheme} ${width}`);
        const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wider <= 0, `${name} is ${wider} px wider than a screen of ${width}`);
        await expectClean();
        await close();
      }
    }
  }
});

test("rows are found by words, sorted by a heading, and copied as they are shown", async () => {
  const { page, expectClean, close } = await person(here.browser, { permissions: ["clipboard-read", "clipboard-write"] });
  await ready(page, file());
  const rows = page.locator("#results tbody tr");
  const count = await rows.count();
  assert.ok(count >= 4, `${count} rows`);
  await page.getByLabel("Filter by words").fill("threads no-such-word");
  await page.getByRole("status").filter({ hasText: `0 of ${count} rows` }).waitFor();
  await page.getByLabel("Filter by words").fill("this-host ok");
  const found = await rows.count();
  await page.getByLabel("Filter by words").fill("");
  const button = page.getByRole("columnheader", { name: "p50 ms" }).getByRole("button");
  const at = await page.locator("#results thead th").evaluateAll((heads) => heads.findIndex((head) => head.textContent === "p50 ms"));
  for (const way of ["ascending", "descending"]) {
    await button.focus();
    await page.keyboard.press("Enter");
    await page.locator(`th[aria-sort=${way}]`).waitFor();
    const shown = (await rows.evaluateAll((all, at) => all.map((row) => row.cells[at].textContent), at)).filter(Boolean).map(Number);
    assert.deepEqual(shown, [...shown].sort((a, b) => (way === "ascending" ? a - b : b - a)), way);
  }
  await page.getByLabel("Filter by words").fill("this-host ok");
  await page.getByRole("button", { name: "Copy as CSV" }).click();
  await page.getByRole("status").filter({ hasText: `${found} rows are copied` }).waitFor();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(copied, /^Device,Model,/);
  assert.equal(copied.trim().split("\n").length, found + 1);
  await expectClean();
  await close();
});

test("a number leads to its run, with where it is from and its raw samples", async () => {
  const { page, expectClean, close } = await person(here.browser);
  const csv = readFileSync(join(REPORTS, latest(), "results.csv"), "utf8");
  for (const url of [file(), `${here.lab.url}/reports/latest/`]) {
    await ready(page, url);
    const link = page.locator("#results tbody tr", { hasText: "this-host" }).locator("a").first();
    const figure = await link.textContent();
    await link.focus();
    await page.keyboard.press("Enter");
    const run = page.getByRole("dialog");
    await run.waitFor();
    const facts = await run.locator("dl").evaluate((list) => {
      const names = [...list.querySelectorAll("dt")].map((name) => [name.textContent, name.nextElementSibling.textContent]);
      return Object.fromEntries(names);
    });
    assert.ok(csv.includes(facts.run_id) && csv.includes(facts.model_sha256), JSON.stringify(facts));
    assert.match(facts.p50_ms, / ms$/);
    assert.ok(Math.abs(parseFloat(facts.p50_ms) / figure - 1) < 0.01, `${facts.p50_ms} for ${figure}`);
    assert.ok((await run.locator("code").textContent()).includes(`run_id = '${facts.run_id}'`));
    assert.equal(await run.getByRole("link", { name: "samples.parquet" }).getAttribute("href"), "samples.parquet");
    await page.keyboard.press("Escape");
    await run.waitFor({ state: "hidden" });
    assert.equal(await page.evaluate(() => document.activeElement.textContent), figure, "the focus is where it was");
    assert.equal(new URL(page.url()).hash, "");
    await page.locator("section a.who").first().click();
    await run.waitFor();
    await expectClean();
  }
  await close();
});

test("without its script the report is read as it is", async () => {
  const { page, close } = await person(here.browser, { javaScriptEnabled: false });
  await page.goto(file());
  assert.ok(await page.locator("#results tbody tr").count() >= 4);
  assert.ok(await page.locator("#tools").isHidden());
  assert.ok(await page.locator("path.box").first().isVisible());
  await close();
});

test("two sweeps are compared on the page, and a cell leads to its history", async () => {
  const { page, expectClean, close } = await person(here.browser);
  const [to, , from] = (await told("sweeps", "list")).map((sweep) => sweep.id);
  await open(page, here.lab.url, `#/sweeps/${to}`);
  await page.getByRole("link", { name: "Compare", exact: true }).last().click();
  await page.getByLabel("Compare with").fill(from);
  await page.getByRole("button", { name: "Compare" }).click();
  await page.getByRole("table", { name: "Cells" }).waitFor();
  await page.locator(".compare .shown").filter({ hasText: /less than 3 % is the same/ }).waitFor();
  assert.match(page.url(), new RegExp(`a=${from}`));
  await expectAccessible(page, "a comparison");
  // One run a side tells nothing of the next, and is marked so.
  const verdicts = new Set(await page.locator(".compared tbody tr").evaluateAll((rows) => rows.map((row) => row.dataset.verdict)));
  assert.ok(verdicts.has("unclear") || verdicts.has("not comparable"), [...verdicts].join());
  await page.locator(".compared tbody th a").first().click();
  await page.locator(".history-chart").first().waitFor();
  await expectAccessible(page, "a history");
  await page.locator(".histories details summary").first().click();
  assert.ok(await page.locator(".histories details tbody tr").count() >= 3, "a point for each sweep");
  await page.getByLabel("Network").fill("nothing");
  await page.getByRole("button", { name: "Show" }).click();
  await page.locator(".wrong").filter({ hasText: "there is no network" }).waitFor();
  await expectClean(/status of 400/);
  await close();
});
