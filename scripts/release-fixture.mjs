// Writes the fixture of this version: a head's database as it writes it now, and what that means. Every later release must
// load it to the same meaning. Run it once for each version, before its tag, and commit what it makes.
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
const bundle = join(root, 'test/kit/.release-fixture.mjs');
try {
  await build({
    entryPoints: [join(root, 'test/kit/release-fixture.ts')],
    outfile: bundle,
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    logLevel: 'warning',
  });
  const { writeReleaseFixture } = await import(pathToFileURL(bundle).href);
  const meaning = await writeReleaseFixture(join(work, 'database'));
  writeFileSync(join(work, 'meaning.json'), `${JSON.stringify(meaning, null, 1)}\n`);
  // Only what is whole takes the old one's place.
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(dirname(folder), { recursive: true });
  cpSync(work, folder, { recursive: true });
  chmodSync(join(folder, 'database'), 0o644);
  console.log(`Wrote ${folder}; commit it, and never change it again`);
} finally {
  rmSync(bundle, { force: true });
  rmSync(work, { recursive: true, force: true });
}
