// Writes the fixture of this version: a head's database and an agent's record as it writes them now, and what they mean. Every
// later release must load them to the same meaning. Run it once for each version, before its tag, and commit what it makes.
// usage: node scripts/release-fixture.mjs
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const folder = join(root, 'test/fixtures/releases', version);
const work = mkdtempSync(join(tmpdir(), 'labrun-fixture-'));
const bundles = [];
try {
  const { writeReleaseFixture } = await load('release-fixture');
  const meaning = await writeReleaseFixture(join(work, 'database'));
  writeFileSync(join(work, 'meaning.json'), `${JSON.stringify(meaning, null, 1)}\n`);
  const { makeAgentFixture } = await load('agent-release-fixture');
  writeFileSync(join(work, 'agent.json'), `${JSON.stringify(await makeAgentFixture(), null, 1)}\n`);
  // Only what is whole takes the old one's place.
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(dirname(folder), { recursive: true });
  cpSync(work, folder, { recursive: true });
  chmodSync(join(folder, 'database'), 0o644);
  console.log(`Wrote ${folder}; commit it, and never change it again`);
} finally {
  for (const bundle of bundles) rmSync(bundle, { force: true });
  rmSync(work, { recursive: true, force: true });
}

/** A module of the tests' kit. */
async function load(name) {
  const bundle = join(root, `test/kit/.${name}.mjs`);
  bundles.push(bundle);
  await build({
    entryPoints: [join(root, `test/kit/${name}.ts`)],
    outfile: bundle,
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    logLevel: 'warning',
  });
  return await import(pathToFileURL(bundle).href);
}
