import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Lab, sharedLab } from '../kit/lab.ts';
import { capture } from '../kit/processes.ts';
import { program } from '../kit/program.ts';
import { itWith } from '../kit/real-parts.ts';
import { buildTinyImage } from '../kit/tiny-image.ts';
import { tree } from '../kit/trees.ts';
import { until } from '../kit/until.ts';

const lab = sharedLab();

itWith('apptainer')(
  'gives exactly the files that the jobs of an image save: in the archive, after pull, and through run',
  async () => {
    const file = imageBatch(lab(), 'squares', { seven: '7', twelve: '12' });
    await lab().ok('submit', file, '--wait');
    await lab().ok('pull', file, '--to', 'pulled');
    const { LABRUN_HEAD: _, ...env } = lab().env;
    lab().must(await capture([process.execPath, program, 'run', file, '--to', lab().path('ran')], { env }));
    const folders = [`${lab().archive}/d/squares`, lab().path('pulled/squares'), lab().path('ran/squares')];
    for (const folder of folders) {
      for (const [job, number] of [
        ['seven', 7],
        ['twelve', 12],
      ] as const) {
        expect(tree(join(folder, job), ['.labrun', `${job}_output.txt`]), folder).toEqual({
          note: `kept ${number}\n`,
          'square.txt': `the square is ${number * number}\n`,
        });
        expect(readFileSync(join(folder, job, `${job}_output.txt`), 'utf8')).toMatch(/^cores \d+$/m);
      }
    }
  },
  60_000,
);

itWith('apptainer')(
  'leaves no process of a cancelled image, not the one that serves its file system either',
  async () => {
    const before = imageProcesses().length;
    expect(before).toBe(0);
    await lab().ok('submit', imageBatch(lab(), 'sleeps', { only: '3' }, '1000'));
    await lab().untilStatus('d/sleeps', 'the job runs', ({ counts }) => counts.running === 1);
    await until('the image runs', () => readLog(lab()).includes('cores'));
    expect(imageProcesses().length).toBeGreaterThan(0);
    await lab().ok('cancel', 'd/sleeps');
    await lab().untilStatus('d/sleeps', 'the job is cancelled', ({ counts }) => counts.cancelled === 1);
    await until(
      () => `no process is left; there are ${JSON.stringify(imageProcesses())}`,
      () => imageProcesses().length === 0,
    );
    expect(readFileSync(`${lab().archive}/d/sleeps/only/square.txt`, 'utf8')).toBe('the square is 9\n');

    function imageProcesses() {
      return lab()
        .strays()
        .filter(({ command }) => /apptainer|squashfuse|fuse-overlayfs|sleep 1000|Apptainer/.test(command));
    }
  },
);

/** A batch of the tiny image: each job squares its number, keeps a note in a writable mount, and naps if told. */
function imageBatch(where: Lab, name: string, numbers: Readonly<Record<string, string>>, nap = '0'): string {
  const image = where.path('tiny.sif');
  try {
    statSync(image);
  } catch {
    buildTinyImage(image);
  }
  const text = JSON.stringify({
    meta: { batch_name: name, namespace: 'd', capabilities: ['apptainer'] },
    apptainer: {
      initialize: { sif: { path: image }, required_files: [{ path: 'nap' }], required_mounts: ['/scratch-mount'] },
      jobs: Object.keys(numbers).map((job) => ({
        name: job,
        required_files: [{ path: `${job}.txt`, alias: 'input.txt' }],
      })),
    },
  });
  const inputs = Object.fromEntries(Object.entries(numbers).map(([job, number]) => [`${job}.txt`, `${number}\n`]));
  return join(where.write(`image-${name}`, { ...inputs, nap, 'distribute-jobs.yaml': text }), 'distribute-jobs.yaml');
}

function readLog(where: Lab): string {
  const attempts = join(where.agentFolder('n1'), 'attempts');
  const logs = readdirSync(attempts, { recursive: true, withFileTypes: true }).filter(({ name }) => name === 'log');
  return logs.map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8')).join('');
}
