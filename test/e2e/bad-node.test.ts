import { chmodSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ownLab } from '../kit/lab.ts';

/** Whose python3 is broken; it writes down that it was called. */
const broken = '#!/bin/sh\necho called >> "$WITNESS"\necho "python3: cannot load libpython" >&2\nexit 127\n';

it('runs every job of a batch though one of three nodes breaks all it gets', async () => {
  const lab = await ownLab({ start: false });
  const folder = lab.write('broken', { python3: broken });
  chmodSync(`${folder}/python3`, 0o755);
  await lab.startHead();
  const path = (first: string) => ({ science: { env: { PATH: `${first}/usr/local/bin:/usr/bin:/bin` } } });
  const witness = lab.path('witness');
  await Promise.all([
    lab.startAgent('bad', { cpus: 1, capabilities: path(`${folder}:`) }),
    lab.startAgent('good', { cpus: 1, capabilities: path('') }),
    lab.startAgent('fine', { cpus: 1, capabilities: path('') }),
  ]);
  const file = lab.jobFile('sweep', {
    name: 'sweep',
    namespace: 't',
    env: { WITNESS: witness },
    jobs: [
      {
        name: 'j',
        matrix: { i: Array.from({ length: 60 }, (_, at) => String(at)) },
        needs: { capabilities: ['science'], cpus: 1 },
        run: 'python3 -c "print(1 + {{i}})"',
      },
    ],
  });
  expect((await lab.labrun('submit', file, '--wait')).code).toBe(0);
  const status = await lab.json('status', 't/sweep');
  expect(status.counts.succeeded).toBe(60);
  const events = (await lab.ok('events', 't/sweep', '--json')).trim().split('\n');
  const elsewhere = events.map((line) => JSON.parse(line)).filter(({ message }) => /tried elsewhere/.test(message));
  expect(elsewhere.length).toBeGreaterThan(0);
  expect(new Set(elsewhere.map(({ job }) => job)).size).toBe(elsewhere.length);
}, 60_000);
