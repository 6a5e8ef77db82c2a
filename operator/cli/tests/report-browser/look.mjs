// Opens reports in a real browser and says what it saw, as JSON on standard output.
// node look.mjs CHROMIUM OUT FILE...   OUT: a directory for pictures and prints, or '-'.
// The test in report_browser.rs decides what is right; nothing is judged here.
import { readFile, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [executablePath, out, ...files] = process.argv.slice(2);
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

// A machine with much else to do is slow, and nothing here is about time: only a browser that hangs ends the run.
const PATIENCE = 900_000;

const browser = await chromium.launch({ executablePath, args, timeout: PATIENCE });
const seen = [];
for (const file of files) {
  for (const colorScheme of ["light", "dark"]) seen.push(await look(file, colorScheme));
}
await browser.close();
console.log(JSON.stringify(seen));

async function look(file, colorScheme) {
  // As a reader has it: the policy of the page in force. Scripts of the driver run beside the page, not in it.
  const context = await browser.newContext({ colorScheme, viewport: { width: 1200, height: 900 } });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const console_ = [], requests = [], dialogs = [];
  page.on("console", (message) => console_.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => console_.push(`error: ${error}`));
  page.on("dialog", (dialog) => { dialogs.push(dialog.message()); dialog.dismiss(); });
  page.on("request", (request) => requests.push(request.url()));
  const address = pathToFileURL(resolve(file)).href;
  await page.goto(address);
  const facts = await page.evaluate(() => ({
    executed: typeof window.executed !== "undefined",
    elements: Object.fromEntries(["script", "img", "iframe", "object", "link", "form", "svg", "table", "h1"]
      .map((name) => [name, document.querySelectorAll(name).length])),
    handlers: [...document.querySelectorAll("*")].flatMap((e) => e.getAttributeNames()).filter((n) => n.startsWith("on")),
    ids: [...document.querySelectorAll("[id]")].map((e) => e.id).filter((id, at, all) => all.indexOf(id) !== at),
    broken: [...document.querySelectorAll("a[href]")].map((e) => e.getAttribute("href"))
      .filter((href) => !href.startsWith("#") || !document.getElementById(href.slice(1))),
    wider: document.documentElement.scrollWidth > document.documentElement.clientWidth,
    background: getComputedStyle(document.body).backgroundColor,
    text: document.body.innerText,
  }));
  await page.setViewportSize({ width: 360, height: 800 });
  facts.widerOnAPhone = await page.evaluate(() =>
    document.documentElement.scrollWidth > document.documentElement.clientWidth);
  await page.setViewportSize({ width: 1200, height: 900 });
  const name = join(out, `${basename(file, ".html")}-${colorScheme}`);
  if (out !== "-") await page.screenshot({ path: `${name}.png`, fullPage: true });
  const pdf = await page.pdf({ format: "A4", printBackground: true });
  if (out !== "-") await writeFile(`${name}.pdf`, pdf);
  await context.close();
  return { file: basename(file), colorScheme, console: console_, dialogs,
    requests: requests.filter((url) => url !== address), pdf: pdf.subarray(0, 5).toString("latin1"),
    pdfBytes: pdf.length, pdfPages: (pdf.toString("latin1").match(/\/Type\s*\/Page[^s]/g) ?? []).length,
    axe: await violations(address, colorScheme), ...facts };
}

// axe runs inside the page, which the page's own policy refuses: here alone it is set aside.
async function violations(address, colorScheme) {
  const context = await browser.newContext({ colorScheme, bypassCSP: true });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  await page.goto(address);
  await page.addScriptTag({ content: axe });
  const found = await page.evaluate((tags) => axe.run({ runOnly: tags }), tags);
  await context.close();
  return { passes: found.passes.length,
    violations: found.violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html).join(" | ")}`) };
}
