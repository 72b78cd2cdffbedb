// Writes SHA256SUMS over the files of a folder and signs it with an SSH key; then checks the signature as users will,
// so that nothing is published that they would refuse.
// usage: node scripts/sign.mjs FOLDER KEY SIGNERS
// KEY is the private key's file, or the public one's when an agent holds the key. SIGNERS lists who may sign.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [folder, key, signers] = process.argv.slice(2);
if (folder === undefined || key === undefined || signers === undefined) {
  console.error('Cannot sign: write "node scripts/sign.mjs FOLDER KEY SIGNERS"');
  process.exit(2);
}
const sums = join(folder, 'SHA256SUMS');
const signature = `${sums}.sig`;
/** Who signs, and for what: a signature made for anything else is refused. */
const signer = ['-I', 'labrun-release', '-n', 'labrun-release'];

rmSync(sums, { force: true });
rmSync(signature, { force: true });
const lines = readdirSync(folder)
  .sort()
  .map((name) => `${digest(join(folder, name))}  ${name}\n`);
if (lines.length === 0) fail(`Cannot sign: "${folder}" holds no file`);
writeFileSync(sums, lines.join(''));
run(['-Y', 'sign', '-q', '-f', key, ...signer.slice(2), sums], 'Cannot sign');
run(
  ['-Y', 'verify', '-q', '-f', signers, ...signer, '-s', signature],
  `Cannot publish: users would refuse the signature; is the key's public half in "${signers}"?`,
  readFileSync(sums),
);

/** @param {string} path */
function digest(path) {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

/** @param {string[]} args @param {string} wrong @param {Buffer} [input] */
function run(args, wrong, input) {
  const result = spawnSync('ssh-keygen', args, { input, stdio: [input ? 'pipe' : 'inherit', 'ignore', 'inherit'] });
  if (result.error) fail(`${wrong}: ${result.error.message}`);
  if (result.status !== 0) {
    rmSync(signature, { force: true });
    fail(wrong);
  }
}

/** @param {string} why @returns {never} */
function fail(why) {
  console.error(why);
  process.exit(1);
}
