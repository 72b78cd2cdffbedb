import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { rules } from '../../head/access.ts';

const page = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), 'docs', 'rights.md');

it('shows every right with those who have it, as the code has them', () => {
  const lines = readFileSync(page, 'utf8').split('\n');
  const rows = lines.flatMap((line) => {
    const [, right, roles] = /^\| `([a-z.-]+)` \| .* \| ([a-z, -]+) \|$/.exec(line) ?? [];
    return right === undefined ? [] : [[right, roles?.split(', ')] as const];
  });
  const told = Object.fromEntries(rows);
  expect(told).toEqual(Object.fromEntries(Object.entries(rules).map(([right, { roles }]) => [right, [...roles]])));
});
