import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig } from "vite";

const page = "../src/cryomix/viewer/page";

/** SHA-256 over names and contents of all sources: a test compares it with the sources. */
function sourceDigest() {
  const names = [
    "index.html",
    "package-lock.json",
    "package.json",
    "tsconfig.json",
    "vite.config.js",
  ];
  const all = [...names, ...readdirSync("src").map((name) => `src/${name}`)].sort();
  const hash = createHash("sha256");
  for (const name of all)
    hash
      .update(name + "\0")
      .update(readFileSync(name))
      .update("\0");
  return hash.digest("hex");
}

export default defineConfig({
  base: "./",
  worker: { format: "es", rolldownOptions: { output: { entryFileNames: "[name].js" } } },
  build: {
    outDir: page,
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    assetsDir: "",
    rolldownOptions: {
      input: { index: "index.html", viewer: "src/main.ts" },
      preserveEntrySignatures: "allow-extension",
      output: {
        entryFileNames: "[name].js",
        chunkFileNames: "[name].js",
        assetFileNames: "[name][extname]",
      },
    },
  },
  plugins: [
    {
      name: "source-digest",
      closeBundle: () => writeFileSync(join(page, "sources.sha256"), sourceDigest() + "\n"),
    },
  ],
});
