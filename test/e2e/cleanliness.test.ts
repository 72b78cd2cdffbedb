import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { sharedLab } from '../kit/lab.ts';
import { isAlive } from '../kit/proc.ts';
import { until } from '../kit/until.ts';

const quotaBytes = 64 * 2 ** 20;
const lab = sharedLab({ agents: { n1: { settings: { blobs: { quota: quotaBytes } } } } });

// The child clears its environment, leaves the session, forks twice, and writes down who it is.
const runaway = (pidFile: string) =>
  `env -i /usr/bin/setsid /bin/sh -c '( /bin/sleep 1000 & echo $! > ${pidFile} ) & exit 0' & wait $!`;

it('leaves no process of a job that ended, not even one that hid itself', async () => {
  const pidFile = lab().path('runaway-1');
  const file = lab().jobFile('hides', {
    name: 'hides',
    namespace: 't',
    jobs: [
      { name: 'j', needs: { cpus: 1 }, run: `${runaway(pidFile)}; while [ ! -s ${pidFile} ]; do sleep 0.02; done` },
    ],
  });
  await lab().ok('submit', file, '--wait');
  const pid = Number(readFileSync(pidFile, 'utf8'));
  expect(pid).toBeGreaterThan(1);
  await until(`process ${pid} is gone`, () => !isAlive(pid));
});

it('leaves no process of a job that was cancelled while it ran', async () => {
  const pidFile = lab().path('runaway-2');
  const file = lab().jobFile('cancelled', {
    name: 'cancelled',
    namespace: 't',
    jobs: [{ name: 'j', needs: { cpus: 1 }, run: `trap '' TERM; ${runaway(pidFile)}; while true; do sleep 0.1; done` }],
  });
  await lab().ok('submit', file);
  const pid = await until('the hidden child runs', () => Number(readFileSync(pidFile, 'utf8')) || undefined);
  await lab().ok('cancel', 't/cancelled');
  const { jobs } = await lab().untilStatus(
    't/cancelled',
    'the job is cancelled',
    ({ counts }) => counts.cancelled === 1,
  );
  expect(jobs[0].state).toBe('cancelled');
  await until(`process ${pid} is gone`, () => !isAlive(pid));
});

it('wipes the directory of every attempt once its archive is safe', async () => {
  const file = lab().jobFile('wiped', {
    name: 'wiped',
    namespace: 't',
    jobs: [
      {
        name: 'ok',
        matrix: { i: ['1', '2', '3'] },
        needs: { cpus: 1 },
        run: 'head -c 100000 /dev/zero > scratch; chmod -R a-w .',
      },
      { name: 'bad', needs: { cpus: 1 }, run: 'mkdir -p deep/er; chmod 0 deep; exit 1' },
    ],
  });
  expect((await lab().labrun('submit', file, '--wait')).code).toBe(1);
  const attempts = join(lab().agentFolder('n1'), 'attempts');
  await until(
    () => `${attempts} is empty, but holds ${readdirSync(attempts)}`,
    () => readdirSync(attempts).length === 0,
  );
});

it('keeps the cache of inputs within its quota', async () => {
  const files = Object.fromEntries(
    Array.from({ length: 5 }, (_, at) => [`input-${at}.dat`, String(at).repeat(20 * 2 ** 20)]),
  );
  const file = lab().jobFile(
    'inputs',
    {
      name: 'inputs',
      namespace: 't',
      jobs: [
        {
          name: 'j',
          matrix: { i: Object.keys(files).map((_, at) => String(at)) },
          needs: { cpus: 1 },
          files: ['input-{{i}}.dat'],
          run: 'wc -c input-{{i}}.dat',
        },
      ],
    },
    files,
  );
  await lab().ok('submit', file, '--wait');
  const blobs = join(lab().agentFolder('n1'), 'blobs');
  const held = () =>
    readdirSync(blobs, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
  await until(
    () => `the cache holds ${held()} of at most ${quotaBytes} bytes`,
    () => held() <= quotaBytes,
  );
  expect(held()).toBeGreaterThan(0);
});
