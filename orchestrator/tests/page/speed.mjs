// Measures how quick the page and a report are in a real browser, for `bench/page`: prints a row of a table for each step.
//
// usage: node speed.mjs URL SWEEPS LARGE A B MODEL
//
// URL is a daemon's, whose lab has so many SWEEPS, a LARGE one with a report, and two (A, B) to be compared.

import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const PATIENCE_MS = 120_000;
const PROGRAMS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const [url, sweeps, large, a, b, model] = process.argv.slice(2);

const browser = await chromium.launch({ executablePath: PROGRAMS.find(existsSync), args: process.getuid() === 0 ? ["--no-sandbox"] : [] });
const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
page.setDefaultTimeout(PATIENCE_MS);
await page.addInitScript(() => {
  window.longest = 0;
  new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => (window.longest = Math.max(window.longest, duration)))).observe({ entryTypes: ["longtask"] });
});

/** Does something, and tells how long it took until it was shown, and the longest task in which the page did not answer. */
async function step(what, action) {
  await page.evaluate(() => (window.longest = 0)).catch(() => {});
  const startedAt = performance.now();
  await action();
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
  const took = performance.now() - startedAt;
  console.log(`| ${what} | ${took.toFixed(0)} | ${(await page.evaluate(() => window.longest)).toFixed(0)} |`);
}

async function open(hash, wanted) {
  await page.goto("about:blank");
  await page.goto(`${url}/${hash}`);
  await page.locator(wanted).first().waitFor();
}

/** Scrolls through the whole page in steps of a screen, each when the one before is shown. Gives the longest of them. */
function scrollThrough() {
  return page.evaluate(async () => {
    let longest = 0;
    for (let at = 0; at < document.documentElement.scrollHeight; at += innerHeight) {
      const startedAt = performance.now();
      scrollTo(0, at);
      await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
      longest = Math.max(longest, performance.now() - startedAt);
    }
    scrollTo(0, 0);
    return longest;
  });
}

const rows = "table.sweeps tbody tr";
await step("sweeps: the newest are there", () => open("#/sweeps", rows));
await step(`sweeps: all ${sweeps} are shown by «Older ones»`, async () => {
  const older = page.getByRole("button", { name: "Older ones" });
  while (await older.isVisible()) {
    const count = await page.locator(rows).count();
    await older.click();
    await page.waitForFunction(([rows, count]) => document.querySelectorAll(rows).length > count, [rows, count]);
  }
});
await step("sweeps: scrolled through all of them", scrollThrough);
await step("sweeps: a device is locked meanwhile", async () => {
  const lock = (verb, body) => page.evaluate(async ([verb, body]) => {
    const headers = { "content-type": "application/json", "x-farmctl": "1" };
    const [{ name }] = (await (await fetch("/api/v1/devices")).json()).items;
    const answer = await fetch(`/api/v1/devices/${name}/${verb}`, { method: "POST", headers, body });
    if (!answer.ok) throw new Error(await answer.text());
  }, [verb, body]);
  await lock("lock", '{"minutes": 60, "why": "speed"}');
  await page.waitForTimeout(1_500);
  await lock("unlock", "{}");
});
await step("sweeps: filtered by words that none has", async () => {
  await page.getByLabel("Filter sweeps by words").fill("there is none of this");
  await page.getByRole("status").filter({ hasText: "No sweep of this lab" }).waitFor();
});
await step("sweeps: filtered by words that all have", async () => {
  await page.getByLabel("Filter sweeps by words").fill("finished");
  await page.locator(rows).first().waitFor();
});
await step("a sweep of many cells: its matrix is there", () => open(`#/sweeps/${large}`, "td[role=gridcell]"));
await step("a sweep of many cells: scrolled through", scrollThrough);
await step("a sweep of many cells: fifty steps by the arrow keys", async () => {
  await page.locator("td[role=gridcell]").first().focus();
  for (let count = 0; count < 50; count += 1) await page.keyboard.press(count % 10 === 9 ? "ArrowRight" : "ArrowDown");
});
await step("history of a network", () => open(`#/history?model=${model}`, ".history-chart"));
await step("history: its numbers as a table", async () => {
  await page.locator(".histories summary").first().click();
  await page.locator(".histories details tbody tr").first().waitFor();
});
await step("two sweeps compared", () => open(`#/compare?a=${a}&b=${b}`, ".compared tbody tr"));
await step("a device with its trust over time", () => open("#/devices/here", ".trust figure"));
const results = "#results tbody tr";
await step("report: it is there", async () => {
  await page.goto("about:blank");
  await page.goto(`${url}/reports/${large}/`);
  await page.locator("html[data-ready]").waitFor();
});
console.error(`the report has ${await page.locator(results).count()} rows`);
await step("report: filtered by words", async () => {
  await page.getByLabel("Filter by words").fill("board-0001");
  await page.getByRole("status").filter({ hasText: / of [0-9,]+ rows/ }).waitFor();
});
await step("report: the filter emptied", async () => {
  await page.getByLabel("Filter by words").fill("");
  await page.getByRole("status").filter({ hasNotText: / of [0-9,]+ rows/ }).waitFor();
});
await step("report: ordered by a column", async () => {
  await page.getByRole("columnheader", { name: "p50 ms" }).getByRole("button").click();
  await page.locator("th[aria-sort]").waitFor();
});
await step("report: scrolled through", scrollThrough);
await step("report: a run is opened", async () => {
  await page.locator(`${results} a`).first().click();
  await page.getByRole("dialog").waitFor();
});
await browser.close();
