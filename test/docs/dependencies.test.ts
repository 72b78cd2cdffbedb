import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { repository } from '../kit/program.ts';

const read = (name: string) => readFileSync(join(repository, name), 'utf8');
const manifest: Record<string, Record<string, unknown> | undefined> = JSON.parse(read('package.json'));
const direct = ['dependencies', 'optionalDependencies', 'devDependencies'].flatMap((kind) =>
  Object.keys(manifest[kind] ?? {}),
);

it('names every direct dependency with its reason and licence, and no other', () => {
  const rows = read('docs/dependencies.md')
    .split('\n')
    .flatMap((line) => /^\| `([^`]+)` \| [^|]{4,} \|/.exec(line)?.[1] ?? []);
  expect(rows.toSorted()).toEqual(direct.toSorted());
});

it('lets install scripts run by name only', () => {
  const lock: { packages: Record<string, { hasInstallScript?: boolean }> } = JSON.parse(read('package-lock.json'));
  const scripted = Object.entries(lock.packages).flatMap(([path, { hasInstallScript }]) =>
    hasInstallScript ? path.replace(/^.*node_modules\//, '') : [],
  );
  expect(Object.keys(manifest['allowScripts'] ?? {}).toSorted()).toEqual(scripted.toSorted());
  const allowed = Object.entries(manifest['allowScripts'] ?? {}).flatMap(([name, may]) => (may ? name : []));
  expect(allowed).toEqual(['node-pty']);
});
