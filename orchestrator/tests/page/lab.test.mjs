// The page of a real daemon, whose lab has a board that answers, one that doesn't, and one that is switched off.

import assert from "node:assert/strict";
import { test } from "node:test";
import { allowed, expectAccessible, open, person, row, setUp } from "./browser.mjs";
import { daemon, farmctl, listenAt, put, remove, told } from "./lab.mjs";

const here = setUp();

/** Waits until an element's text is like this. */
function says(locator, pattern) {
  return locator.filter({ hasText: pattern }).first().waitFor();
}

test("the overview shows each device as it is, and finds them", async () => {
  const { page, expectClean, close } = await person(here.browser);
  await open(page, here.lab.url, "#/");
  await says(row(page, "board"), /idle/);
  await says(row(page, "gone"), /offline/);
  await says(row(page, "off"), /disabled/);
  await page.keyboard.press("/");
  await page.keyboard.type("gone");
  await says(page.getByRole("status"), /1 of 3 devices/);
  assert.equal(await page.locator("table.devices tbody tr:visible").count(), 1);
  assert.match(page.url(), /q=gone/);
  await page.reload();
  await says(page.getByRole("status"), /1 of 3 devices/);
  await page.keyboard.press("/");
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: /^disabled/ }).click();
  await says(page.getByRole("status"), /1 of 3 devices/);
  assert.ok(await row(page, "off").isVisible());
  await expectClean();
  await close();
});

test("the keyboard reaches everything", async () => {
  const { page, expectClean, close } = await person(here.browser);
  await open(page, here.lab.url, "#/");
  for (const [key, title] of [["w", "Sweeps"], ["s", "Schedules"], ["n", "Start a sweep"], ["d", "Devices"]]) {
    await page.keyboard.press("g");
    await page.keyboard.press(key);
    await page.getByRole("heading", { level: 1, name: title }).waitFor({ state: "attached" });
  }
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "board" }).waitFor();
  await page.keyboard.press("?");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await expectClean();
  await close();
});

test("a device that is locked on the page is locked for the command line, and the other way round", async () => {
  const { page, expectClean, close } = await person(here.browser);
  await open(page, here.lab.url, "#/devices/board");
  await page.getByLabel("Minutes").fill("30");
  await page.getByLabel("Why").fill("<b>debugging</b>");
  await page.getByRole("button", { name: "Lock" }).click();
  await says(page.getByRole("region", { name: "Lock" }), /Locked by .*<b>debugging<\/b>/);
  const ofBoard = async () => (await told("devices", "list")).find((device) => device.name === "board");
  const { status, lock } = await ofBoard();
  assert.equal(status, "locked");
  assert.equal(lock.why, "<b>debugging</b>");
  await farmctl("devices", "unlock", "board");
  await says(page.getByRole("region", { name: "Lock" }), /Nobody has locked it/);
  await farmctl("devices", "lock", "board", "--for", "1h", "--why", "a look");
  await says(page.getByRole("region", { name: "Lock" }), /a look/);
  await says(page.getByRole("region", { name: "History" }), /a look/);
  await page.getByRole("button", { name: "Unlock" }).click();
  await says(page.getByRole("region", { name: "Lock" }), /Nobody has locked it/);
  assert.notEqual((await ofBoard()).status, "locked");
  await expectClean();
  await close();
});

test("a device in quarantine is shown with its reason, and a button releases it", async () => {
  const { page, expectClean, close } = await person(here.browser);
  await open(page, here.lab.url, "#/");
  await says(row(page, "gone"), /offline/);
  await assert.rejects(farmctl("sweep", "configs/away.yaml"), { code: 5 });
  await says(row(page, "gone"), /quarantined.*refused/);
  await row(page, "gone").getByRole("link", { name: "gone" }).click();
  const now = page.getByRole("region", { name: "Now" });
  await says(now, /quarantined.*refused/);
  await expectAccessible(page, "a device in quarantine");
  const release = page.getByRole("button", { name: "Release from quarantine" });
  await release.click();
  await says(now, /offline/);
  assert.ok(await release.isHidden());
  await says(page.getByRole("region", { name: "History" }), /back in service, by .*@/);
  assert.equal((await told("devices", "list")).find((device) => device.name === "gone").status, "offline");
  await expectClean();
  await close();
});

test("a sweep that is started on the page is shown live to its end, with its reports", async () => {
  const { page, expectClean, close } = await person(here.browser);
  await open(page, here.lab.url, "#/start");
  await page.getByLabel("Sweep", { exact: true }).selectOption("configs/quick.yaml");
  await page.getByLabel("only these").check();
  await page.getByRole("checkbox", { name: /^board/ }).check();
  await says(page.getByRole("status", { name: "What it would do" }), /^4 cells on 1 device, about /);
  await page.getByRole("button", { name: "Start the sweep" }).click();
  const cells = page.getByRole("gridcell");
  await cells.first().waitFor();
  const seen = new Set();
  const notesStates = async () => {
    for (const state of await cells.evaluateAll((all) => all.map((cell) => cell.dataset.state))) seen.add(state);
  };
  const isOver = page.locator(".standing .state[data-state=finished]");
  while (!(await isOver.isVisible())) {
    await notesStates();
    await page.waitForTimeout(50);
  }
  await page.getByRole("link", { name: "report", exact: true }).waitFor();
  await notesStates();
  assert.ok(seen.has("running") && seen.has("ok"), `the cells were ${[...seen]}`);
  assert.deepEqual(new Set(await cells.evaluateAll((all) => all.map((cell) => cell.dataset.state))), new Set(["ok"]));
  // With a mark where it is doubtful, which a busy machine makes it.
  assert.match(await cells.first().textContent(), /^[0-9.]+(\s\?)?$/);
  assert.equal(await page.getByRole("progressbar").getAttribute("aria-valuenow"), "4");
  await cells.first().focus();
  await page.keyboard.press("ArrowRight");
  await says(page.locator(".chosen"), /p50 [0-9.]+ ms/);
  await expectClean();
  const id = decodeURIComponent(new URL(page.url()).hash.split("/").pop());
  assert.equal((await told("sweeps", "list")).find((sweep) => sweep.id === id).state, "finished");
  await page.getByRole("link", { name: "report", exact: true }).click();
  await page.getByRole("heading", { name: "Results", exact: true }).waitFor();
  await expectClean();
  await close();
});

test("who did what is listed, and a sweep is found among all of them by its words", async () => {
  const { page, expectClean, close } = await person(here.browser);
  await open(page, here.lab.url, "#/audit");
  await says(page.getByRole("table", { name: "Audit" }), /started configs\/quick.yaml/);
  await open(page, here.lab.url, "#/sweeps?q=quick%20finished");
  await page.locator("table.sweeps tbody tr").first().waitFor();
  await page.getByLabel("Filter sweeps by words").fill("there is none of this");
  await says(page.getByRole("status"), /No sweep of this lab is like that/);
  assert.equal(await page.locator("table.sweeps tbody tr").count(), 0);
  await expectClean();
  await close();
});

test("what the daemon refuses is shown with its reason", async () => {
  put("configs/faulty.yaml", "models: [squeezenet]\n");
  const { page, expectClean, close } = await person(here.browser);
  await open(page, here.lab.url, "#/start");
  await page.getByLabel("Sweep", { exact: true }).selectOption("configs/faulty.yaml");
  await page.getByRole("button", { name: "Start the sweep" }).click();
  await says(page.getByRole("alert"), /squeezenet/);
  await page.getByRole("button", { name: "Close" }).click();
  assert.equal(await page.getByRole("alert").filter({ hasText: "squeezenet" }).count(), 0);
  remove("configs/faulty.yaml");
  await expectClean(allowed.refused);
  await close();
});

test("a sweep is cancelled, once its person has said so twice", async () => {
  const { page, expectClean, close } = await person(here.browser);
  await open(page, here.lab.url, "#/start");
  await page.getByLabel("Sweep", { exact: true }).selectOption("configs/long.yaml");
  await page.getByLabel("only these").check();
  await page.getByRole("checkbox", { name: /^board/ }).check();
  await page.getByRole("button", { name: "Start the sweep" }).click();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: "No, leave it" }).click();
  await page.locator("td[data-state=running]").waitFor();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: "Cancel the sweep" }).click();
  await page.locator(".standing .state[data-state=cancelled]").waitFor();
  await says(page.locator(".failures"), /cancelled/);
  await expectClean();
  await close();
});

test("a schedule is paused, goes on, and is run now", async () => {
  const { page, expectClean, close } = await person(here.browser);
  await open(page, here.lab.url, "#/schedules");
  const rarely = page.getByRole("region", { name: "rarely" });
  await says(rarely, /Next.*-02-29 00:00/);
  await says(page.getByRole("region", { name: "never" }), /Switched off in its file/);
  const pause = async () => (await told("schedules", "list")).find(({ schedule }) => schedule === "rarely").paused;
  await page.getByRole("button", { name: "Pause rarely" }).click();
  await says(rarely, /Paused by /);
  assert.ok((await pause()).by);
  await page.getByRole("button", { name: "Resume rarely" }).click();
  await says(rarely, /Next.*-02-29 00:00/);
  assert.equal(await pause(), null);
  await page.getByRole("button", { name: "Run now: rarely" }).click();
  await page.getByRole("heading", { level: 1, name: /quick/ }).waitFor();
  await page.locator(".standing .state[data-state=finished]").waitFor();
  await says(page.locator(".standing"), / cells/);
  await expectClean();
  await close();
});

test("a daemon that stops is told as gone, and what it is when it is back is shown by itself", async () => {
  const { page, expectClean, close } = await person(here.browser);
  await open(page, here.lab.url, "#/");
  await says(row(page, "board"), /idle/);
  listenAt(here.lab.url);
  await here.lab.stop();
  await says(page.getByRole("alert"), /The daemon is gone since \d{4}-/);
  await says(page.locator("#gone-again"), /Trying again/);
  await farmctl("devices", "lock", "board", "--for", "1h", "--why", "while it was gone");
  here.lab = await daemon();
  await page.locator("#connection[data-state=live]").waitFor();
  assert.ok(await page.locator("#gone").isHidden());
  await says(row(page, "board"), /while it was gone/);
  await farmctl("devices", "unlock", "board");
  await says(row(page, "board"), /idle/);
  await expectClean(allowed.unreachable);
  await close();
});

test("what time went into is shown of a device and of the lab, as the command line has it", async () => {
  const { page, expectClean, close } = await person(here.browser);
  const figures = await told("devices", "utilisation");
  const attemptsOf = (name) => figures.find(({ device }) => device === name).attempts;
  assert.ok(attemptsOf("board") > 0 && attemptsOf(null) >= attemptsOf("board"));
  const places = [["#/devices/board", `none of ${attemptsOf("board")} attempts failed`], ["#/", `of ${attemptsOf(null)} attempts`]];
  for (const [view, work] of places) {
    await open(page, here.lab.url, view);
    const use = page.getByRole("region", { name: "Last 7 days" });
    await says(use, work);
    await says(use, /busy .*%.*idle .*%.*locked .*%.*broken .*% *[0-9.]+ jobs a day/);
    const [whole, ...parts] = await use.locator(".shares, .shares i").evaluateAll((all) => all.map((one) => one.getBoundingClientRect().width));
    assert.ok(Math.abs(whole - parts.reduce((sum, width) => sum + width, 0)) < 1, `${parts} of ${whole}`);
  }
  await expectClean();
  await close();
});

test("a page that lost parts of itself on the way is loaded again, but not for ever", async () => {
  const cases = [
    [["model.js"], 1],
    [["again.js", "style.css", "main.js"], 1],
    [["model.js"], Infinity],
  ];
  for (const [names, times] of cases) {
    const { page, expectClean, close } = await person(here.browser);
    let loads = 0;
    page.on("load", () => (loads += 1));
    const left = new Map(names.map((name) => [name, times]));
    await page.route("**/page/*", (route) => {
      const name = new URL(route.request().url()).pathname.split("/").pop();
      if (!(left.get(name) > 0)) return route.continue();
      left.set(name, left.get(name) - 1);
      return route.abort();
    });
    if (times === 1) {
      await open(page, here.lab.url, "#/devices/board");
      await page.getByRole("heading", { level: 1, name: "board" }).waitFor();
      assert.equal(await page.evaluate(() => document.styleSheets.length), 1);
      assert.deepEqual([loads, ...left.values()], [2, ...names.map(() => 0)]);
    } else {
      await page.goto(here.lab.url);
      await says(page.getByRole("alert"), /did not arrive, 8 times in a row/);
      assert.equal(loads, 9);
    }
    await expectClean(allowed.unreachable);
    await close();
  }
});

test("how far a device is to be trusted is shown over time, for the keyboard and a screen reader too", async () => {
  const { page, expectClean, close } = await person(here.browser);
  await open(page, here.lab.url, "#/devices/board");
  const trust = page.getByRole("region", { name: "Trust over time" });
  const [{ runs, pairs }] = (await told("devices", "trust")).filter((row) => row.device === "board");
  assert.ok(pairs > 0, `${runs} runs of the tests before this one`);
  await says(trust, new RegExp(`Of the newest ${runs} runs: its runs repeat within [0-9.]+ % in \\d+ of ${pairs} pair`));
  for (const [length, title] of [["week", "Week of"], ["day", "Day"]]) {
    await trust.getByLabel("Shown").selectOption(length);
    const summary = trust.locator("summary", { hasText: new RegExp(`\\d ${length}s? as a table`) });
    await summary.waitFor();
    for (const what of ["Runs repeat within", "Doubtful runs"]) {
      const picture = trust.getByRole("img", { name: new RegExp(`^${what}: .*%`) });
      await picture.waitFor();
      assert.ok((await picture.locator("path").count()) >= 3, "a scale");
    }
    await summary.focus();
    await page.keyboard.press("Enter");
    const table = trust.getByRole("table", { name: `Trust by ${length}` });
    await table.getByRole("columnheader", { name: title }).waitFor();
    const counted = (await table.locator("tbody tr td:last-child").allTextContents()).map(Number);
    assert.equal(counted.reduce((sum, some) => sum + some, 0), runs, "each run is in one of them");
    await expectAccessible(page, `trust by ${length}`);
  }
  await open(page, here.lab.url, "#/devices/gone");
  await says(trust, /Nothing was measured on it yet/);
  await says(trust, /It has no runs to show/);
  await expectClean();
  await close();
});

test("each view is accessible, light and dark, and fits a phone", async () => {
  // Words without a place to break.
  await farmctl("devices", "lock", "board", "--for", "1h", "--why", "w".repeat(150));
  await farmctl("devices", "edit", "off", "--tag", `soc=${"s".repeat(50)}`);
  const sweep = (await told("sweeps", "list"))[0].id;
  const views = ["#/", "#/sweeps", `#/sweeps/${sweep}`, "#/devices/board", "#/compare", "#/history", "#/schedules", "#/start", "#/audit"];
  for (const colorScheme of ["light", "dark"]) {
    for (const viewport of [{ width: 1280, height: 800 }, { width: 375, height: 700 }]) {
      const { page, expectClean, close } = await person(here.browser, { colorScheme, viewport });
      for (const view of views) {
        await open(page, here.lab.url, view);
        await expectAccessible(page, `${view} ${colorScheme} ${viewport.width}`);
        const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wider <= 0, `${view} is ${wider} px wider than a screen of ${viewport.width}`);
      }
      await expectClean();
      await close();
    }
  }
});
