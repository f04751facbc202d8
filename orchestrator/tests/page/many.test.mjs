// The page of a lab of 500 devices: what changes is written, and nothing else is touched.

import assert from "node:assert/strict";
import { test } from "node:test";
import { allowed, open, person, row, setUp } from "./browser.mjs";
import { farmctl, put, remove } from "./lab.mjs";

const DEVICES = 500;
const LOCKED = 50; // as many writes as one person may do at once

const here = setUp();

/** Counts from now on what is changed in the table, and the tasks that would make the page stutter. */
async function watch(page) {
  await page.evaluate(() => {
    window.rows = [...document.querySelectorAll("table.devices tbody tr")];
    window.work = { records: 0, moved: 0, touched: new Set(), longest_ms: 0 };
    const body = document.querySelector("table.devices tbody");
    new MutationObserver((records) => {
      for (const record of records) {
        window.work.records += 1;
        if (record.target === body) window.work.moved += record.addedNodes.length + record.removedNodes.length;
        else window.work.touched.add(record.target.parentElement?.closest("tr") ?? record.target);
      }
    }).observe(body, { subtree: true, childList: true, attributes: true, characterData: true });
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) window.work.longest_ms = Math.max(window.work.longest_ms, duration);
    }).observe({ entryTypes: ["longtask"] });
  });
}

function work(page) {
  return page.evaluate(() => ({ ...window.work, touched: window.work.touched.size, isSame: window.rows.every((one) => one.isConnected) }));
}

test("one device that changes changes one row, and neither focus nor place are lost", async (t) => {
  const { page, expectClean, close } = await person(here.browser);
  const openedAt = performance.now();
  await open(page, here.lab.url, "#/");
  await page.locator(`table.devices tbody tr >> nth=${DEVICES - 1}`).waitFor();
  t.diagnostic(`${DEVICES} devices are there after ${Math.round(performance.now() - openedAt)} ms`);
  const link = row(page, "device-250").getByRole("link", { name: "device-250" });
  await link.focus();
  const scrolled = await page.evaluate(() => scrollY);
  assert.ok(scrolled > 1_000);
  await watch(page);
  await farmctl("devices", "lock", "device-250", "--for", "1h", "--why", "a look");
  await row(page, "device-250").filter({ hasText: "a look" }).waitFor();
  const done = await work(page);
  assert.equal(done.moved, 0, "no row was added, removed or moved");
  assert.ok(done.isSame, "each row is the element that it was");
  // Rows whose «seen … ago» went on may be among them, on a slow machine.
  assert.ok(done.touched <= 3 && done.records <= 30, JSON.stringify(done));
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "device-250");
  assert.equal(await page.evaluate(() => scrollY), scrolled);
  await expectClean();
  await close();
});

test("many devices that change at once are as many rows", async (t) => {
  const { page, expectClean, close } = await person(here.browser);
  await open(page, here.lab.url, "#/");
  await row(page, "device-1").waitFor();
  await watch(page);
  const startedAt = performance.now();
  await page.evaluate(async (count) => {
    const lock = async (name) => {
      const headers = { "content-type": "application/json", "x-farmctl": "1" };
      const answer = await fetch(`/api/v1/devices/${name}/lock`, { method: "POST", headers, body: '{"minutes": 60, "why": "many"}' });
      if (answer.status === 429) {
        await new Promise((resolve) => setTimeout(resolve, 200));
        return lock(name);
      }
      if (!answer.ok) throw new Error(await answer.text());
    };
    for (let at = 1; at <= count; at += 1) await lock(`device-${at}`);
  }, LOCKED);
  await page.locator(`table.devices tbody tr:has-text("many") >> nth=${LOCKED - 1}`).waitFor();
  const done = await work(page);
  t.diagnostic(`${LOCKED} locks are shown after ${Math.round(performance.now() - startedAt)} ms; longest task ${Math.round(done.longest_ms)} ms, ${done.records} changes`);
  assert.equal(done.moved, 0, "no row was added, removed or moved");
  assert.ok(done.touched <= LOCKED + 3 && done.records <= 9 * LOCKED, JSON.stringify(done));
  await page.keyboard.press("/");
  await page.keyboard.type("many");
  await page.getByRole("status").filter({ hasText: `${LOCKED} of ${DEVICES} devices` }).waitFor();
  await expectClean(allowed.refused);
  await close();
});

test("a device that is added is there at once, and one that is removed goes", async () => {
  const { page, expectClean, close } = await person(here.browser);
  await open(page, here.lab.url, "#/");
  await row(page, "device-1").waitFor();
  put("farms/more.yaml", "farm: more\ndevices:\n  - { name: added, disabled: new, transport: local }\n");
  await row(page, "added").waitFor();
  remove("farms/more.yaml");
  await row(page, "added").waitFor({ state: "detached" });
  await expectClean();
  await close();
});
