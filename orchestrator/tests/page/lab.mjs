// The lab of a test: the test that started this script has made it, and says how farmctl is called in it.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

/** Nothing that is waited for takes longer, however slow the machine. */
export const PATIENCE_MS = +(process.env.PATIENCE_MS ?? 120_000);

const FOLDER = process.env.PAGE_TEST_LAB;
const FARMCTL = JSON.parse(process.env.PAGE_TEST_FARMCTL);
const OPTIONS = { cwd: FOLDER, env: { ...process.env, HOME: FOLDER } };
const DAEMON_FILE = join(FOLDER, "configs/daemon.yaml");

const started = new Set();
process.on("exit", () => started.forEach((child) => child.kill("SIGKILL")));

/** Runs farmctl to its end; gives what it printed. */
export async function farmctl(...words) {
  const [program, ...first] = FARMCTL;
  const { stdout } = await promisify(execFile)(program, [...first, ...words], { ...OPTIONS, timeout: PATIENCE_MS });
  return stdout;
}

/** What farmctl prints as JSON. */
export async function told(...words) {
  return JSON.parse(await farmctl(...words, "--format", "json"));
}

/** Puts a file into the lab. */
export function put(name, text) {
  writeFileSync(join(FOLDER, name), text);
}

/** Removes a file of the lab. */
export function remove(name) {
  rmSync(join(FOLDER, name));
}

/** Changes the daemon's file, which the daemon reads again. */
export function configure(change) {
  writeFileSync(DAEMON_FILE, change(readFileSync(DAEMON_FILE, "utf8")));
}

/** A daemon of the lab: `{ url, stop() }`. It listens where its file says. */
export async function daemon() {
  const [program, ...words] = FARMCTL;
  const child = spawn(program, [...words, "daemon"], { ...OPTIONS, stdio: ["ignore", "pipe", "pipe"] });
  started.add(child);
  let said = "";
  child.stderr.on("data", (piece) => (said += piece));
  const ended = once(child, "exit");
  const [url] = await Promise.race([
    once(createInterface({ input: child.stdout }), "line"),
    ended.then(() => Promise.reject(new Error(`the daemon ended:\n${said}`))),
  ]);
  async function stop() {
    child.kill("SIGTERM");
    await ended;
    started.delete(child);
  }
  return { url: url.replace(/\/$/, ""), stop, said: () => said };
}

/** The daemon listens there from its next start on: it is to come back where it was. */
export function listenAt(url) {
  configure((text) => text.replace(/^listen:.*/m, `listen: ${new URL(url).host}`));
}
