import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { type Lab, ownLab } from '../kit/lab.ts';
import { itWith } from '../kit/real-parts.ts';
import { filesHolding, tree } from '../kit/trees.ts';
import { until } from '../kit/until.ts';

const jobsMax = 40;
const secret = 'SECRET'.repeat(2_000);

/** Swaps whatever other attempts have in their archives for links to the secrets, until a file says it is enough. */
const attack = (attempts: string, secrets: string, enough: string) => `
import os, sys
def attempt(work, *args):
    try: work(*args)
    except OSError: pass
own, swaps = os.getcwd().split('/')[-2], 0
while not os.path.exists('${enough}'):
    for name in os.listdir('${attempts}'):
        archive = '${attempts}/%s/archive' % name
        if name == own or not os.path.isdir(archive): continue
        for thing, target in (('file', '${secrets}/file'), ('folder', '${secrets}')):
            path = '%s/%s' % (archive, thing)
            try: os.rename(path, path + '.aside')
            except OSError: continue
            attempt(os.symlink, target, path)
            swaps += 1
            attempt(os.unlink, path)
            attempt(os.rename, path + '.aside', path)
print('swapped', swaps, 'times')
`;

describe.runIf(process.getuid?.() === 0)('an agent that is root', () => {
  itWith('python3')(
    'gives away nothing but what its jobs may read, while one of them swaps what the others left',
    async () => {
      const lab = await ownLab({ agents: {} });
      chmodSync(lab.folder, 0o711);
      const secrets = aSecretPlace(lab);
      await lab.startAgent('n1', { settings: { runAs: 'nobody' } });
      const enough = lab.path('enough');
      const attempts = join(lab.agentFolder('n1'), 'attempts');
      const attacker = lab.jobFile(
        'attacker',
        {
          name: 'attacker',
          namespace: 't',
          jobs: [{ name: 'j', needs: { cpus: 1 }, files: ['a.py'], run: 'python3 a.py' }],
        },
        { 'a.py': attack(attempts, secrets, enough) },
      );
      await lab.ok('submit', attacker);
      await lab.untilStatus('t/attacker', 'it runs', ({ counts }) => counts.running === 1);
      const own = 'head -c 12000 /dev/zero | tr "\\0" x';
      const victims = lab.jobFile('victims', {
        name: 'victims',
        namespace: 't',
        jobs: [
          // A batch whose first ten jobs all fail is held; this one leaves nothing to be swapped.
          { name: 'first', needs: { cpus: 1 }, run: 'true' },
          {
            name: 'v',
            matrix: { n: Array.from({ length: jobsMax }, (_, at) => String(at)) },
            needs: { cpus: 1 },
            run: `mkdir $LABRUN_ARCHIVE/folder; ${own} >$LABRUN_ARCHIVE/file; ${own} >$LABRUN_ARCHIVE/folder/file`,
          },
        ],
      });
      const waited = await lab.labrun('submit', victims, '--wait');
      const { counts } = await lab.json('status', 't/victims');
      expect(counts.succeeded + counts.failed, `${JSON.stringify(counts)} ${waited.stdout} ${waited.stderr}`).toBe(
        jobsMax + 1,
      );
      writeFileSync(enough, '');
      await lab.ok('wait', 't/attacker');
      const swaps = Number(/swapped (\d+) times/.exec(await lab.ok('logs', 't/attacker'))?.[1]);
      expect(swaps).toBeGreaterThan(100);
      expect(filesHolding(lab.path('head'), 'SECRET')).toEqual([]);
      expect(JSON.stringify(await lab.json('status', 't/victims'))).not.toContain('passwords');
      expect(Object.keys(tree(lab.archive)).join()).not.toContain('passwords');
      // Nothing of it was removed, given away or opened up either.
      expect(tree(secrets)).toEqual({ file: secret, passwords: secret });
      expect(statSync(secrets)).toMatchObject({ uid: 0, mode: 0o40700 });
      expect(statSync(join(secrets, 'file'))).toMatchObject({ uid: 0, mode: 0o100600 });
      await until('the node is clean', () => Object.keys(tree(attempts)).length === 0, 20_000);
    },
    120_000,
  );
});

/** What root alone may read. */
function aSecretPlace(lab: Lab): string {
  const folder = lab.path('secrets');
  mkdirSync(folder, { mode: 0o700 });
  for (const name of ['file', 'passwords']) writeFileSync(join(folder, name), secret, { mode: 0o600 });
  return folder;
}
