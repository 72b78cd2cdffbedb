// Generates the wire code, checks types, and bundles the program. Each product is made in a temporary folder and
// renamed into place, so that two builds never see each other's half.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const work = mkdtempSync(join(root, '.build-'));
try {
  generate();
  run('tsc', ['-p', '.']);
  await bundle();
  await writeSchemas();
  replace(join(work, 'dist'), join(root, 'dist'));
} finally {
  rmSync(work, { recursive: true, force: true });
}

function generate() {
  run('buf', ['generate', '--output', work]);
  replace(join(work, 'proto/gen'), join(root, 'proto/gen'));
}

async function bundle() {
  const workers = readdirSync(join(root, 'base/workers'), { withFileTypes: true })
    .filter((entry) => entry.name.endsWith('.ts'))
    .map((entry) => [`worker-${entry.name.slice(0, -3)}`, join(root, 'base/workers', entry.name)]);
  await build({
    entryPoints: {
      labrun: join(root, 'cli/main.ts'),
      bench: join(root, 'bench/main.ts'),
      fuzz: join(root, 'test/fuzz/main.ts'),
      'fuzz-covered': join(root, 'test/fuzz/wire/covered.ts'),
      sim: join(root, 'test/sim/main.ts'),
      schema: join(root, 'scripts/schema.ts'),
      'worker-terminal': join(root, 'node-agent/executor/terminal-host/main.ts'),
      ...Object.fromEntries(workers),
    },
    outdir: join(work, 'dist'),
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: 'linked',
    logLevel: 'warning',
    external: ['level', 'classic-level', 'node-pty', '@napi-rs/blake-hash'],
    banner: {
      js: "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);",
    },
  });
}

/** The JSON Schemas for editors come from the readers themselves, so that they cannot disagree. */
async function writeSchemas() {
  const { schemas } = await import(pathToFileURL(join(work, 'dist/schema.js')).href);
  for (const [name, schema] of Object.entries(schemas())) {
    writeFileSync(join(work, 'dist', `${name}.schema.json`), `${JSON.stringify(schema, null, 2)}\n`);
  }
}

/** @param {string} from @param {string} to */
function replace(from, to) {
  const old = join(work, `old-${Math.random().toString(36).slice(2)}`);
  if (existsSync(to)) renameSync(to, old);
  try {
    renameSync(from, to);
  } catch (error) {
    if (error.code !== 'ENOTEMPTY') throw error; // another build was faster; its product is as good as ours
  }
}

/** @param {string} tool @param {string[]} args */
function run(tool, args) {
  const result = spawnSync(join(root, 'node_modules/.bin', tool), args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (result.status !== 0) {
    console.error(`Cannot build labrun: "${tool} ${args.join(' ')}" ended with ${result.signal ?? result.status}`);
    process.exit(1);
  }
}
