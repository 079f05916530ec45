// A browser that does what it is told: one JSON object per line on stdin, one answer per line on stdout, in order.
//
//   {"do": "launch", "executable": ...}     {"do": "open", "url": ..., "width": ..., "height": ..., "scale": ...}
//   {"do": "press", "keys": [...]}          {"do": "type", "text": ...}
//   {"do": "texts", "selector": ...}        {"do": "click", "selector": ..., "text": ...}
//   {"do": "labels", "selector": ...}: what screen readers say of elements
//   {"do": "ghosts"}: all that the ghost text was since the last "forget", in order; {"do": "forget"}
//   {"do": "screenshot", "path": ...}       {"do": "close"}
//
// The answer is {"value": ...} or {"error": "one line"}. The browser ends with this program, which ends with its stdin.

import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const require = createRequire(`${process.argv[2]}/`);
const { chromium } = require("playwright-core");

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
];
const TIMEOUT = 120_000;

let browser, context, page;

// Runs in the page: what the ghost text is now, and everything that it has been, looked at before each painting.
function watchGhosts() {
  const ghost = () =>
    [...document.querySelectorAll(".editor-instance .ghost-text-decoration, .editor-instance .ghost-text-decoration-preview, .editor-instance .ghost-text")]
      .filter((element) => !element.parentElement.closest(".ghost-text-decoration, .ghost-text"))
      .map((element) => element.textContent)
      .join("")
      .replaceAll("\u00a0", " ");
  window.ghostsSeen = [];
  const look = () => {
    const now = ghost();
    if (now !== window.ghostsSeen.at(-1)) window.ghostsSeen.push(now);
    requestAnimationFrame(look);
  };
  window.forgetGhosts = () => (window.ghostsSeen = [ghost()]);
  look();
}

const verbs = {
  async launch({ executable }) {
    browser = await chromium.launch({ executablePath: executable, headless: true, args: FLAGS });
  },
  async open({ url, width, height, scale = 1 }) {
    context = await browser.newContext({ viewport: { width, height }, deviceScaleFactor: scale, colorScheme: "dark" });
    context.setDefaultTimeout(TIMEOUT);
    await context.addInitScript(watchGhosts);
    page = await context.newPage();
    await page.goto(url, { waitUntil: "domcontentloaded" });
  },
  async press({ keys }) {
    for (const key of keys) await page.keyboard.press(key);
  },
  async type({ text }) {
    await page.keyboard.type(text);
  },
  async texts({ selector }) {
    return page.$$eval(selector, (found) => found.map((element) => element.textContent.replaceAll("\u00a0", " ")));
  },
  async labels({ selector }) {
    return page.$$eval(selector, (found) => found.map((element) => element.getAttribute("aria-label") ?? ""));
  },
  async click({ selector, text }) {
    const found = text === undefined ? page.locator(selector) : page.locator(selector, { hasText: text });
    await found.first().click();
  },
  async ghosts() {
    return page.evaluate(() => window.ghostsSeen);
  },
  async forget() {
    await page.evaluate(() => window.forgetGhosts());
  },
  async screenshot({ path }) {
    await page.screenshot({ path });
  },
  async close() {
    await context?.close();
    context = undefined;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { do: verb, ...options } = JSON.parse(line);
  let answer;
  try {
    answer = { value: (await verbs[verb](options)) ?? null };
  } catch (error) {
    answer = { error: String(error.message).split("\n").slice(0, 3).join(" ") };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser?.close();
