// Puts the page together in one file that needs no network: node build.mjs FILE
import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));

async function bundled(entry) {
  const result = await build({
    entryPoints: [at(entry)],
    bundle: true,
    minify: true,
    write: false,
    format: "iife",
    target: ["chrome123", "firefox120", "safari17.5"],
    // The licences stand whole at the head of the page.
    legalComments: "none",
  });
  return result.outputFiles[0].text.trim();
}

const uplot = createRequire(import.meta.url).resolve("uplot/package.json");
const licence = (await readFile(uplot.replace("package.json", "LICENSE"), "utf8")).trim();
const [page, style, script] = await Promise.all([
  readFile(at("src/index.html"), "utf8"),
  bundled("src/style.css"),
  bundled("src/main.ts"),
]);
const parts = { licences: `uPlot\n\n${licence}`, style, script };
const whole = page.replace(/\{\{(\w+)\}\}/g, (_, name) => parts[name]);
await writeFile(process.argv[2], whole);
console.error(`${process.argv[2]}: ${(whole.length / 1024).toFixed(1)} KiB`);
