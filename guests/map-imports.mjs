// Writes generated/libpg-query.json: the minified names of libpg-query's imports and exports -> their real names.
//
// The package's loader is minified by Emscripten, which renames the module's imports and exports to one letter each, differently in each
// build. The only place that says which is which is the loader itself, so it is read here, at build. An upgrade that moves anything that we
// rely on fails the build instead of linking the wrong function.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const folder = join(here, 'node_modules', 'libpg-query', 'wasm');
const read = path => {
  try { return readFileSync(path); } catch (e) { console.error(`map-imports: cannot read \`${path}\` (${e.code}); run \`npm ci\` in guests/ first`); process.exit(1); }
};
const loader = read(join(folder, 'libpg-query.js')).toString('utf8');
const wasm = read(join(folder, 'libpg-query.wasm'));
const version = JSON.parse(read(join(here, 'node_modules', 'libpg-query', 'package.json'))).version;

const faults = [];
const name = '[A-Za-z_$][A-Za-z0-9_$]*';

// var wasmImports={c:___assert_fail,x:__abort_js,…}
const imports = {};
const table = loader.match(/\bwasmImports\s*=\s*\{([^}]*)\}/);
if (!table) faults.push('no `wasmImports={…}` in the loader');
else for (const pair of table[1].split(',')) {
  const m = pair.trim().match(new RegExp(`^"?(${name})"?\\s*:\\s*(${name})$`));
  if (!m) faults.push(`cannot read the import \`${pair}\``);
  else imports[m[1]] = m[2];
}

// _malloc=Module["_malloc"]=wasmExports["C"] · memory=wasmMemory=wasmExports["z"] · wasmExports["A"]() (the constructors)
const exports = {};
for (const m of loader.matchAll(new RegExp(`(${name})\\s*=\\s*(?:Module\\["[^"]+"\\]\\s*=\\s*|${name}\\s*=\\s*)?wasmExports\\["(${name})"\\]`, 'g')))
  exports[m[2]] = m[1];
const constructors = loader.match(new RegExp(`[;{]wasmExports\\["(${name})"\\]\\(\\)`));
if (!constructors) faults.push('no call of the constructors (`wasmExports["…"]()`) in the loader');
else exports[constructors[1]] = '__wasm_call_ctors';

// What the guest links or calls by its real name. invoke_* differ by version: the guest builds them from their signature.
const neededExports = ['memory', '__indirect_function_table', '__wasm_call_ctors', '_malloc', '_free', '_wasm_parse_query_raw',
  '_wasm_free_parse_result', '_setThrew', '__emscripten_stack_restore', '_emscripten_stack_get_current'];
const neededImports = ['___assert_fail', '__abort_js', '__emscripten_throw_longjmp', '_emscripten_resize_heap', '_exit', '_proc_exit', '_fd_write'];
for (const n of neededExports) if (!Object.values(exports).includes(n)) faults.push(`the export \`${n}\` was not found in the loader`);
for (const n of neededImports) if (!Object.values(imports).includes(n)) faults.push(`the import \`${n}\` was not found in the loader`);
for (const [what, map] of [['import', imports], ['export', exports]]) {
  const seen = new Set();
  for (const real of Object.values(map)) { if (seen.has(real)) faults.push(`two ${what}s are called \`${real}\``); seen.add(real); }
}

// The loader's word is checked against the module's own.
let module;
try { module = new WebAssembly.Module(wasm); } catch (e) { faults.push(`the module does not compile: ${e.message}`); }
if (module) {
  const spaces = new Set(WebAssembly.Module.imports(module).map(i => i.module));
  if (spaces.size !== 1) faults.push(`the module imports from ${spaces.size} namespaces, not one`);
  for (const i of WebAssembly.Module.imports(module)) {
    if (!(i.name in imports)) faults.push(`the module imports \`${i.name}\`, which the loader does not name`);
    else if (i.kind !== 'function') faults.push(`the import \`${imports[i.name]}\` is a ${i.kind}, not a function`);
  }
  const own = new Map(WebAssembly.Module.exports(module).map(e => [e.name, e.kind]));
  for (const [min, real] of Object.entries(exports)) {
    const want = real === 'memory' ? 'memory' : real === '__indirect_function_table' ? 'table' : 'function';
    if (own.get(min) !== want) faults.push(`the export \`${real}\` (\`${min}\`) is ${own.get(min) ?? 'missing'} in the module, not a ${want}`);
  }
}

if (faults.length) {
  for (const f of faults) console.error(`map-imports: ${f}`);
  process.exit(1);
}
mkdirSync(join(here, 'generated'), { recursive: true });
const sorted = map => Object.fromEntries(Object.entries(map).sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0));
writeFileSync(join(here, 'generated', 'libpg-query.json'), JSON.stringify({
  package: 'libpg-query', version, sha256: createHash('sha256').update(wasm).digest('hex'),
  importModule: module ? WebAssembly.Module.imports(module)[0].module : '', imports: sorted(imports), exports: sorted(exports),
}, null, 2) + '\n');
