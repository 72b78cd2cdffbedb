import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { hostLab, sharedNetwork } from '../kit/host-lab.ts';
import { itWith } from '../kit/real-parts.ts';
import { until } from '../kit/until.ts';
import { attemptFolders, untilNothingIsLeft } from '../kit/witness.ts';

const network = sharedNetwork('n1');

itWith('netns')(
  'keeps the scratch of a job whose result the head has, until the agent has heard so',
  async () => {
    const lab = await hostLab(network(), { agents: { n1: {} } });
    const go = lab.path('go');
    // Small enough for the agent's report: more would have to be asked for, which a deaf agent does not hear.
    const run = `while [ ! -e ${go} ]; do sleep 0.05; done; echo 42 > $LABRUN_ARCHIVE/answer`;
    await lab.ok('submit', lab.jobFile('deaf', { name: 'deaf', namespace: 't', jobs: [{ name: 'j', run }] }));
    await lab.untilStatus('t/deaf', 'the job runs', ({ counts }) => counts.running === 1);
    network().deafen('n1');
    writeFileSync(go, '');
    await lab.untilStatus('t/deaf', 'the head has the result', ({ counts }) => counts.succeeded === 1);
    await until('the result is in the archive', () => existsSync(join(lab.archive, 't/deaf/j/answer')));
    const [folder = '', ...more] = attemptFolders(lab, 'n1');
    expect(more).toEqual([]);
    expect(existsSync(join(folder, 'archive/answer'))).toBe(true);
    // Also an agent that starts again, and reaches nobody, keeps it.
    await lab.agents.get('n1')?.end('SIGKILL');
    network().cut('n1');
    await lab.launchAgent('n1').line(/not connected to storage:7420/, 30_000);
    expect(existsSync(join(folder, 'archive/answer'))).toBe(true);
    network().heal('n1');
    await untilNothingIsLeft(lab, 30_000);
    expect(await lab.json('status', 't/deaf')).toMatchObject({ jobs: [{ state: 'succeeded', attempt: 1 }] });
  },
  120_000,
);
