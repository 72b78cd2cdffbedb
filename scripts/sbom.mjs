// Writes what a release consists of, as CycloneDX: every package of the lockfile that is not for development alone, with
// its version, licence and hash. Needs no network and no installed package.
// usage: node scripts/sbom.mjs FILE
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [file] = process.argv.slice(2);
if (file === undefined) {
  console.error('Cannot write the SBOM: say where, as in "npm run sbom -- sbom.cdx.json"');
  process.exit(2);
}

// `npm sbom --omit dev` also leaves out packages that a tool for development happens to use besides, such as yaml.
// So npm is shown a lockfile in which nothing is for development.
const work = mkdtempSync(join(tmpdir(), 'labrun-sbom-'));
try {
  const { devDependencies: _, ...manifest } = readJson('package.json');
  const lock = readJson('package-lock.json');
  const kept = Object.entries(lock.packages).filter(([, { dev }]) => !dev);
  const packages = { ...Object.fromEntries(kept), '': { ...lock.packages[''], devDependencies: {} } };
  const folder = join(work, manifest.name); // npm calls the whole by its folder's name
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  writeFileSync(join(folder, 'package-lock.json'), JSON.stringify({ ...lock, packages }));
  const args = ['sbom', '--sbom-format=cyclonedx', '--sbom-type=application', '--package-lock-only', '--offline'];
  const result = spawnSync('npm', args, { cwd: folder, encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`"npm ${args.join(' ')}" ended with ${result.status}\n${result.stderr}`);
  writeFileSync(file, result.stdout);
} finally {
  rmSync(work, { recursive: true, force: true });
}

/** @param {string} name */
function readJson(name) {
  return JSON.parse(readFileSync(join(root, name), 'utf8'));
}
