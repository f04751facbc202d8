// A real browser on the page, which notes everything that a browser has against it.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before } from "node:test";
import { chromium } from "playwright-core";
import { daemon, PATIENCE_MS } from "./lab.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PROGRAMS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** What the browser says of an answer that the page shows to the person itself. */
const REFUSED = /^Failed to load resource: the server responded with a status of 4\d\d/;
const UNREACHABLE = /^Failed to load resource: net::ERR_/;
/** What ends every request of a browser while this host's networks change, as other tests have them do. */
const DISTURBED = /net::ERR_NETWORK_CHANGED/;

/** Starts the browser. As root, which has no sandbox, it gets none: it sees pages of the tests only. */
function launch() {
  const executablePath = PROGRAMS.find(existsSync);
  assert.ok(executablePath, "there is no chromium: scripts/prepare installs it");
  return chromium.launch({ executablePath, args: process.getuid() === 0 ? ["--no-sandbox"] : [] });
}

/** A browser and a daemon for the tests of a script, from the first to the last; `first` is done before. */
export function setUp(first = async () => {}) {
  const here = { browser: null, lab: null };
  before(async () => {
    await first();
    here.browser = await launch();
    here.lab = await daemon();
  });
  after(async () => {
    await here.browser?.close();
    await here.lab?.stop();
  });
  return here;
}

/** A page `{ page, expectClean(allowed) }` of a person with these settings (viewport, colorScheme, …). */
export async function person(browser, settings = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...settings });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !DISTURBED.test(message.text())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  // Violations of the policy are told to the console only where they stop something; the event tells all.
  await page.addInitScript(() => {
    window.violations = [];
    addEventListener("securitypolicyviolation", (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
  });
  async function expectClean(...allowed) {
    const left = complaints.splice(0).filter((text) => !allowed.some((pattern) => pattern.test(text)));
    assert.deepEqual(left, [], "the console of the browser is empty");
    assert.deepEqual(await page.evaluate(() => window.violations), [], "nothing was against the content security policy");
  }
  return { page, expectClean, close: () => context.close() };
}

export const allowed = { refused: REFUSED, unreachable: UNREACHABLE };

/** Whether axe-core has anything against what is shown. */
export async function expectAccessible(page, what) {
  await page.evaluate(`${AXE}; 0`);
  const violations = await page.evaluate(async () => {
    const found = (await window.axe.run()).violations;
    return found.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 120)).slice(0, 3).join(" | ")}`);
  });
  assert.deepEqual(violations, [], `axe-core: ${what}`);
}

/** Opens a view by its address, and waits until it is there. */
export async function open(page, url, hash) {
  // The page gets what it lost of itself on the way; that there is a page at all is the browser's matter.
  for (let tries = 1; ; tries++) {
    try {
      await page.goto(`${url}/${hash}`);
      break;
    } catch (error) {
      if (tries === 10 || !DISTURBED.test(error.message)) throw error;
    }
  }
  await page.locator("#connection[data-state=live]").waitFor();
  await page.locator("main h1").waitFor({ state: "attached" });
}

/** The row of a device in the overview. */
export function row(page, device) {
  return page.locator("table.devices tbody tr", { has: page.getByRole("link", { name: device, exact: true }) });
}
