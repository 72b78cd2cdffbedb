// Writes the fixture of this version: a head's database as it writes it now, and what that means. Every later release must
// load it to the same meaning. Run it once for each version, before its tag, and commit what it makes.
// usage: node scripts/release-fixture.mjs
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const folder = join(root, 'test/fixtures/releases', version);
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
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const meaning = await writeReleaseFixture(join(folder, 'database'));
  writeFileSync(join(folder, 'meaning.json'), `${JSON.stringify(meaning, null, 1)}\n`);
  console.log(`Wrote ${folder}; commit it, and never change it again`);
} finally {
  rmSync(bundle, { force: true });
}
