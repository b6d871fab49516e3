#!/bin/sh
# Takes out of a node_modules folder what this kind of machine cannot run, and what only people and editors read. Licences stay.
set -eu
modules=${1:?say which folder}
arch=$(node -p process.arch)

# Libraries for other systems and processors, and the sources of those that are built already.
find "$modules/onnxruntime-node/bin" -mindepth 3 -maxdepth 3 ! -path "*/linux/$arch" -exec rm -rf {} +
find "$modules/@node-llama-cpp" -mindepth 1 -maxdepth 1 ! -name "linux-$arch*" -exec rm -rf {} +
for package in better-sqlite3 usearch; do
  find "$modules/$package/prebuilds" -mindepth 1 -maxdepth 1 ! -name "linux-$arch*" -exec rm -rf {} +
done
rm -rf "$modules/better-sqlite3/deps" "$modules/better-sqlite3/src"
# Of tar-stream, for another runtime than Node.js, which loads none of them.
rm -rf "$modules"/bare-*/prebuilds
rm -rf "$modules/usearch/numkong" "$modules/usearch/include" "$modules/usearch/c" "$modules/usearch/cpp"

find "$modules" -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -delete
find "$modules" -type f -iname '*.md' ! -iname '*licen[sc]e*' ! -iname '*notice*' -delete
