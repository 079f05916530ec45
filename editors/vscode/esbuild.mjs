// Bundles the extension into dist/extension.js, with the licences of what is bundled beside it; with --tests the unit
// tests into build/test/.
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as esbuild from "esbuild";

const common = { bundle: true, platform: "node", format: "cjs", target: "node20", logLevel: "warning" };

if (process.argv.includes("--tests")) {
  rmSync("build/test", { recursive: true, force: true });
  const tests = readdirSync("test").filter((name) => name.endsWith(".test.ts"));
  await esbuild.build({
    ...common,
    entryPoints: tests.map((name) => join("test", name)),
    outdir: "build/test",
    sourcemap: "inline",
  });
} else {
  const result = await esbuild.build({
    ...common,
    entryPoints: ["src/extension.ts"],
    outfile: "dist/extension.js",
    external: ["vscode"],
    minify: true,
    metafile: true,
    legalComments: "none",
  });
  writeFileSync("dist/THIRD_PARTY_LICENSES.txt", licences(Object.keys(result.metafile.inputs)));
}

/** The licence texts of the packages that these files belong to. */
function licences(files) {
  mkdirSync("dist", { recursive: true });
  const folders = new Set();
  for (const file of files) {
    const found = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file);
    if (found) folders.add(found[1]);
  }
  const texts = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    if (file === undefined) throw new Error(`${name} has no licence file`);
    return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
  });
  return `This extension contains the following packages.\n\n${texts.join(`\n${"-".repeat(80)}\n\n`)}`;
}
