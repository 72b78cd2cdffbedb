import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Lab, ownLab } from '../kit/lab.ts';
import { itWith, plainUser } from '../kit/real-parts.ts';
import { tree } from '../kit/trees.ts';
import { until } from '../kit/until.ts';

// Modes of files hold nobody back who is root, so here everything runs as someone else.

itWith('plain user')(
  'keeps the rest of an archive of which the job made a part unreadable, and names that part',
  async () => {
    const lab = await ownLab({ user: plainUser() });
    const parts = {
      folder:
        'mkdir -p a/b $LABRUN_ARCHIVE/dark/deep; echo 1 >$LABRUN_ARCHIVE/dark/deep/f; chmod 0 $LABRUN_ARCHIVE/dark',
      listed: 'mkdir $LABRUN_ARCHIVE/dark; echo 1 >$LABRUN_ARCHIVE/dark/f; chmod 444 $LABRUN_ARCHIVE/dark',
      file: 'echo 1 >$LABRUN_ARCHIVE/dark; chmod 0 $LABRUN_ARCHIVE/dark',
      chosen: 'mkdir -p out/dark; echo 1 >out/dark/f.dat; echo 2 >out/g.dat; chmod 0 out/dark',
    };
    const jobs = Object.entries(parts).map(([name, text]) => ({
      ...{ name, needs: { cpus: 1 }, archive: ['out/**/*.dat'] },
      run: `echo good >$LABRUN_ARCHIVE/good; ${text}`,
    }));
    expect(
      (await lab.labrun('submit', lab.jobFile('dark', { name: 'dark', namespace: 't', jobs }), '--wait')).code,
    ).toBe(1);
    for (const job of (await lab.json('status', 't/dark')).jobs) {
      expect(job, job.name).toMatchObject({ state: 'failed', reason: 'archive-failed' });
      expect(job.message, job.name).toMatch(/Cannot archive "(out\/)?dark": /);
      expect(tree(join(lab.archive, 't/dark', job.name), ['.labrun']), job.name).toEqual({
        good: 'good\n',
        ...(job.name === 'chosen' ? { 'out/': '/', 'out/g.dat': '2\n' } : {}),
      });
    }
    await untilWiped(lab);
  },
);

itWith('plain user')(
  'keeps what was chosen, and the log, when the whole archive folder was made unreadable',
  async () => {
    const lab = await ownLab({ user: plainUser() });
    const run = 'echo said; echo 2 >g.dat; echo 1 >$LABRUN_ARCHIVE/f; chmod 0 $LABRUN_ARCHIVE';
    const jobs = [{ name: 'j', needs: { cpus: 1 }, archive: ['*.dat'], expect: ['f'], run }];
    expect(
      (await lab.labrun('submit', lab.jobFile('dark', { name: 'dark', namespace: 't', jobs }), '--wait')).code,
    ).toBe(1);
    const [job] = (await lab.json('status', 't/dark')).jobs;
    expect(job).toMatchObject({ state: 'failed', reason: 'archive-failed' });
    expect(job.message).toContain('Cannot archive ".": it may not be read');
    expect(tree(join(lab.archive, 't/dark/j'), ['.labrun'])).toEqual({ 'g.dat': '2\n' });
    expect(readFileSync(join(lab.archive, 't/dark/j/.labrun/log'), 'utf8')).toBe('said\n');
    await untilWiped(lab);
  },
);

async function untilWiped(lab: Lab): Promise<void> {
  const attempts = join(lab.agentFolder('n1'), 'attempts');
  const left = () => readdirSync(attempts).filter((name) => !name.startsWith('spare-'));
  await until(
    () => `nothing of the jobs is left, but ${left()} is`,
    () => left().length === 0,
  );
}
