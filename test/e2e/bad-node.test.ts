import { chmodSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ownLab } from '../kit/lab.ts';

/** A thousand by hand; fewer by default, for each starts a python. */
const jobs = Number(process.env['LABRUN_TEST_JOBS'] ?? 200);

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
        matrix: { i: Array.from({ length: jobs }, (_, at) => String(at)) },
        needs: { capabilities: ['science'], cpus: 1 },
        run: 'python3 -c "print(1 + {{i}})"',
      },
    ],
  });
  expect((await lab.labrun('submit', file, '--wait')).code).toBe(0);
  const status = await lab.json('status', 't/sweep');
  expect(status.counts.succeeded).toBe(jobs);
  // The broken one ran a few, and each of them once.
  const called = readFileSync(witness, 'utf8').trim().split('\n').length;
  expect(called).toBeLessThan(20);
  const events = (await lab.ok('events', '--json')).trim().split('\n');
  const told = events.map((line) => JSON.parse(line));
  const elsewhere = told.filter(({ message }) => /tried elsewhere/.test(message));
  expect(elsewhere).toHaveLength(called);
  expect(new Set(elsewhere.map(({ job }) => job)).size).toBe(called);

  expect(told).toContainEqual(expect.objectContaining({ kind: 'node-quarantined', node: 'bad' }));
  const { nodes } = await lab.json('nodes');
  expect(nodes.map(({ state }: { state: string }) => state)).toEqual(['quarantined', 'connected', 'connected']);
  expect(nodes[0].quarantine).toMatchObject({
    evidence: '3 jobs failed there within 60 s, and succeeded elsewhere',
    batch: 't/sweep',
    message: 'exit code 127: python3: cannot load libpython',
  });
  expect(await lab.ok('nodes')).toMatch(
    /^bad is quarantined: 3 jobs failed .* \(t\/sweep: exit code 127: python3.*\); one tries it from/m,
  );
  expect(await lab.ok('why', 't/sweep/j-i-0')).toMatch(/bad +no +is quarantined \(3 jobs failed there/);

  // A machine that offers something else now may have been put right.
  await lab.agents.get('bad')?.stop();
  await lab.startAgent('bad', { cpus: 1, capabilities: { ...path(''), repaired: {} } });
  expect((await lab.json('nodes')).nodes[0]).toMatchObject({ state: 'connected', quarantine: null });
}, 120_000);
