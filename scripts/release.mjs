// Makes a release of the tag that is checked out: tests it in a fresh clone, packs it, lists what it consists of, and
// signs. Nothing of the working folder but its history goes in. docs/releasing.md tells when, and how users verify.
// usage: npm run release -- --key ~/.ssh/id_ed25519 [--to FOLDER]
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { values } = parseArgs({ options: { key: { type: 'string' }, to: { type: 'string' } } });
const { name, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const tag = `v${version}`;
const to = resolve(values.to ?? join(root, '.build', 'release', tag));

if (values.key === undefined) fail('say with which key it is signed, as in --key ~/.ssh/id_ed25519');
if (said('git', ['status', '--porcelain']) !== '') fail('there are changes that are not committed');
if (!said('git', ['tag', '--points-at', 'HEAD']).split('\n').includes(tag))
  fail(`the commit has no tag "${tag}", which package.json asks for; make it with "git tag -s ${tag}"`);

mkdirSync(to, { recursive: true });
if (readdirSync(to).length > 0) fail(`"${to}" is not empty`);
const work = mkdtempSync(join(tmpdir(), 'labrun-release-'));
try {
  const clone = join(work, name);
  run('git', ['clone', '--quiet', '--no-hardlinks', '--branch', tag, root, clone], work);
  // Before the tests come "npm ci" and the build: scripts/bootstrap.mjs.
  run('npm', ['test'], clone);
  run('npm', ['pack', '--ignore-scripts', '--pack-destination', to], clone);
  run(process.execPath, ['scripts/sbom.mjs', join(to, `${name}-${version}.cdx.json`)], clone);
  run(process.execPath, ['scripts/sign.mjs', to, resolve(values.key), 'docs/release-signers'], clone);
} catch (error) {
  rmSync(to, { recursive: true, force: true });
  fail(error.message);
} finally {
  rmSync(work, { recursive: true, force: true });
}
console.log(`${tag} is in ${to}: ${readdirSync(to).join(', ')}`);

/** @param {string} command @param {string[]} args */
function said(command, args) {
  const result = spawnSync(command, args, { cwd: root, encoding: 'utf8' });
  if (result.status !== 0) fail(`"${command} ${args.join(' ')}" ended with ${result.status}: ${result.stderr}`);
  return result.stdout.trim();
}

/** @param {string} command @param {string[]} args @param {string} cwd */
function run(command, args, cwd) {
  const result = spawnSync(command, args, { cwd, stdio: 'inherit' });
  if (result.status !== 0)
    throw new Error(`"${command} ${args.join(' ')}" ended with ${result.signal ?? result.status}`);
}

/** @param {string} why @returns {never} */
function fail(why) {
  console.error(`Cannot release ${tag}: ${why}`);
  process.exit(1);
}
