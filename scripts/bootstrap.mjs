// Makes a fresh clone runnable: installs packages and builds, each only when what it depends on has changed.
// It runs before any package is there, so it uses Node alone. Stamps live in .build/, which git ignores.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stamps = join(root, '.build');
const minimum = [20, 19];
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < minimum[0] || (major === minimum[0] && minor < minimum[1])) {
  console.error(`labrun needs Node ${minimum.join('.')} or newer; this is ${process.versions.node}`);
  process.exit(1);
}

const installKey = digest(['package.json', 'package-lock.json', '.npmrc'], process.version);
if (!isCurrent('install', installKey, 'node_modules')) {
  // node-gyp finds no headers on a fresh HOME unless told; those of this very Node are the right ones.
  const prefix = dirname(dirname(process.execPath));
  const headers = existsSync(join(prefix, 'include/node/node_api.h')) ? { npm_config_nodedir: prefix } : {};
  run('npm', ['ci', '--include=dev', '--ignore-scripts'], {});
  runInstallScripts(headers);
  writeStamp('install', installKey);
}

const sources = ['proto', 'base', 'config', 'head', 'node-agent', 'cli', 'bench', 'scripts'].flatMap((room) =>
  files(room),
);
const buildKey = digest([...sources, 'tsconfig.json', 'buf.gen.yaml', 'buf.yaml'], installKey);
if (!isCurrent('build', buildKey, 'dist/labrun.js')) {
  run(process.execPath, [join(root, 'scripts/build.mjs')], {});
  writeStamp('build', buildKey);
}

/**
 * Runs the install scripts of the packages that package.json allows by name, and no others: npm before 11 would run all.
 * A package that is optional may fail at it, as one may have no compiler.
 * @param {Record<string, string>} env
 */
function runInstallScripts(env) {
  const { allowScripts = {}, optionalDependencies = {} } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const [name, allowed] of Object.entries(allowScripts)) {
    if (!allowed || !existsSync(join(root, 'node_modules', name))) continue;
    run('npm', ['rebuild', name, '--ignore-scripts=false'], env, name in optionalDependencies);
  }
}

/** @param {string[]} paths @param {string} salt */
function digest(paths, salt) {
  const hash = createHash('sha256').update(salt);
  for (const path of paths) hash.update(`\0${path}\0`).update(readFileSync(join(root, path)));
  return hash.digest('hex');
}

/** @param {string} folder @returns {string[]} */
function files(folder) {
  if (!existsSync(join(root, folder)) || folder === 'proto/gen') return [];
  const entries = readdirSync(join(root, folder), { withFileTypes: true });
  return entries
    .flatMap((entry) => (entry.isDirectory() ? files(`${folder}/${entry.name}`) : [`${folder}/${entry.name}`]))
    .sort();
}

/** @param {string} name @param {string} key @param {string} product */
function isCurrent(name, key, product) {
  const stamp = join(stamps, name);
  return existsSync(join(root, product)) && existsSync(stamp) && readFileSync(stamp, 'utf8') === key;
}

/** @param {string} name @param {string} key */
function writeStamp(name, key) {
  mkdirSync(stamps, { recursive: true });
  writeFileSync(join(stamps, name), key);
}

/** @param {string} command @param {string[]} args @param {Record<string, string>} env @param {boolean} [optional] */
function run(command, args, env, optional = false) {
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], env: { ...process.env, ...env } });
  if (result.status === 0) return;
  const what = `"${command} ${args.join(' ')}" ended with ${result.signal ?? result.status}`;
  if (optional) {
    console.error(`Going on without an optional package: ${what}`);
    return;
  }
  console.error(`Cannot prepare labrun: ${what}`);
  process.exit(1);
}
