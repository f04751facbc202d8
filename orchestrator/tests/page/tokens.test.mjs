// The page of a daemon that asks for tokens.

import assert from "node:assert/strict";
import { test } from "node:test";
import { allowed, expectAccessible, person, setUp } from "./browser.mjs";
import { farmctl } from "./lab.mjs";

// A daemon that nobody could ask does not start.
const here = setUp(() => makeToken("first", "admin"));

async function makeToken(name, role) {
  return (await farmctl("tokens", "add", name, "--role", role)).trim();
}

async function logIn(page, token) {
  await page.getByLabel("Your token").fill(token);
  await page.getByRole("button", { name: "Log in" }).click();
}

test("a wrong token is refused with what to do, and a right one lets in until one logs out", async () => {
  const token = await makeToken("anna", "admin");
  const { page, expectClean, close } = await person(here.browser);
  await page.goto(`${here.lab.url}/#/devices/board`);
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  await expectAccessible(page, "login");
  await logIn(page, `${token}x`);
  await page.getByRole("alert").filter({ hasText: /none of this lab/ }).waitFor();
  await expectAccessible(page, "login, refused");
  assert.ok(await page.locator("nav").isHidden());
  await logIn(page, token);
  await page.getByRole("heading", { level: 1, name: "board" }).waitFor();
  await page.getByText("anna (admin)").waitFor();
  await page.reload();
  await page.getByText("anna (admin)").waitFor();
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  await expectClean(allowed.refused);
  await close();
});

test("who may only look has no buttons", async () => {
  const [viewer, runner] = [await makeToken("vera", "view"), await makeToken("rob", "run")];
  for (const [token, who, may] of [[viewer, "vera (view)", false], [runner, "rob (run)", true]]) {
    const { page, expectClean, close } = await person(here.browser);
    await page.goto(`${here.lab.url}/#/devices/board`);
    await logIn(page, token);
    await page.getByText(who).waitFor();
    await page.getByRole("heading", { level: 1, name: "board" }).waitFor();
    assert.equal(await page.getByRole("button", { name: "Lock" }).isVisible(), may);
    assert.equal(await page.getByRole("link", { name: "Start" }).isVisible(), may);
    await page.goto(`${here.lab.url}/#/schedules`);
    await page.getByRole("region", { name: "rarely" }).waitFor();
    assert.equal(await page.getByRole("button", { name: "Run now: rarely" }).isVisible(), may);
    assert.ok(await page.getByRole("button", { name: "Pause rarely" }).isHidden());
    await expectClean(allowed.refused);
    await close();
  }
});

test("who is put out while the page is open is asked for a token", async () => {
  const token = await makeToken("guest", "view");
  const { page, expectClean, close } = await person(here.browser);
  await page.goto(here.lab.url);
  await logIn(page, token);
  await page.getByText("guest (view)").waitFor();
  await farmctl("tokens", "remove", "guest");
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  await expectClean(allowed.refused);
  await close();
});
