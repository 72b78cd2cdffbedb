import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ownLab } from '../kit/lab.ts';
import { until } from '../kit/until.ts';

it('restores a backup that was made before jobs began: they go on where they run, under their numbers, and none runs twice', async () => {
  const lab = await ownLab({ agents: {} });
  const witness = lab.path('witness');
  writeFileSync(witness, '');
  const file = lab.jobFile(
    'long',
    {
      name: 'long',
      namespace: 't',
      jobs: [
        {
          name: 'j',
          matrix: { i: ['0', '1', '2'] },
          needs: { cpus: 1 },
          files: ['input'],
          run: `echo {{i}} >> ${witness}; while [ ! -e ${lab.path('go')} ]; do sleep 0.05; done; cat input > $LABRUN_ARCHIVE/result`,
        },
      ],
    },
    { input: 'what they read\n' },
  );
  await lab.ok('submit', file);
  const made = await lab.json('head', 'backup', lab.path('copy'), '--data', lab.path('head'));
  expect(made).toMatchObject({ missingInputs: [], archive: lab.archive });

  await lab.startAgent('n1', { cpus: 2 });
  await until('two jobs have started', () => lines(witness).length === 2);
  await lab.head.end('SIGKILL');
  renameSync(lab.path('head'), lab.path('old'));
  lab.write('', { go: '' }); // two end while there is no head
  const restored = [
    'head',
    'restore',
    lab.path('copy'),
    '--data',
    lab.path('head'),
    '--archive',
    lab.path('old/archive'),
  ];
  expect(await lab.ok(...restored)).toMatch(/^Restored cluster .*\n1 batch with 3 jobs, 0 nodes/);
  const again = await lab.labrun(...restored);
  expect(again).toMatchObject({ code: expect.not.toSatisfy((code: unknown) => code === 0) });
  expect(again.stderr).toContain('it is not empty');
  await lab.startHead();
  await lab.ok('wait', 't/long');

  const { jobs, counts } = await lab.json('status', 't/long');
  expect(counts.succeeded).toBe(3);
  expect(jobs.map(({ attempt }: { attempt: number }) => attempt)).toEqual([1, 1, 1]);
  expect(lines(witness).sort()).toEqual(['0', '1', '2']);
  await lab.ok('pull', 't/long', '--to', lab.path('here'));
  for (const i of [0, 1, 2])
    expect(readFileSync(lab.path(`here/long/j-i-${i}/result`), 'utf8')).toBe('what they read\n');
  const kinds = (await lab.ok('events', '--json'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).kind);
  expect(kinds).toContain('log-shortened');
  expect(kinds.filter((kind) => kind === 'job-found')).toHaveLength(3); // the third was waiting on the node
  const { notices } = await lab.json('status', '--all');
  expect(notices).toMatchObject([
    { text: expect.stringContaining('knows of 3 attempts that this head has no memory of') },
  ]);
});

function lines(file: string): string[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
}
