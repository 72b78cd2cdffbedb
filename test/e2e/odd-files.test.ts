import { expect, it } from 'vitest';
import { sharedLab } from '../kit/lab.ts';
import { tree } from '../kit/trees.ts';

const lab = sharedLab();

it('names what no archive can hold, and keeps everything else', async () => {
  const file = lab().jobFile('odd', {
    name: 'odd',
    namespace: 't',
    jobs: [{ name: 'j', needs: { cpus: 1 }, run: 'mkfifo $LABRUN_ARCHIVE/pipe; echo kept > $LABRUN_ARCHIVE/file' }],
  });
  expect((await lab().labrun('submit', file, '--wait')).code).toBe(1);
  const { jobs } = await lab().json('status', 't/odd');
  expect(jobs[0]).toMatchObject({ state: 'failed', reason: 'archive-failed', exitCode: 0 });
  expect(jobs[0].message).toMatch(/"pipe": it is a FIFO/);
  expect(tree(`${lab().archive}/t/odd/j`)).toEqual({ file: 'kept\n' });
});
