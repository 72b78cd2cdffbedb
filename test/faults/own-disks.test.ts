import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Lab, ownLab } from '../kit/lab.ts';
import { itWith } from '../kit/real-parts.ts';
import { until } from '../kit/until.ts';

const mb = 2 ** 20;
const jobs = 40;

itWith('small disk')(
  'an agent whose disk others fill takes no jobs and says so, and no job fails for it',
  async () => {
    const lab = await ownLab({ agents: {} });
    const disk = lab.loopDisk(lab.agentFolder('n1'), 256 * mb);
    await lab.startAgent('n1', { cpus: 2, settings: { limits: { diskReserve: '16M' } } });
    await lab.ok(
      'submit',
      sweep(lab, 'head -c 300K /dev/urandom >$LABRUN_ARCHIVE/data; sleep 0.4; cp $LABRUN_ARCHIVE/data copy'),
    );
    await lab.untilStatus('t/sweep', 'jobs run', ({ counts }) => counts.succeeded >= 2);
    disk.fill(0);
    const node = await until('the node says so', async () => {
      const [first] = (await lab.json('nodes')).nodes;
      return first.trouble === null ? undefined : first;
    });
    expect(node.state).toBe('troubled');
    expect(node.trouble).toMatch(/^its disk \(\S+\) is nearly full, .+ left of the 16\.0 MiB that are kept free$/);
    await until('nothing runs there', async () => (await lab.json('nodes')).nodes[0].running === 0, 30_000);
    const status = await lab.json('status');
    expect(status.notices.map(({ text }: { text: string }) => text)).toEqual([
      `the node "n1" takes no jobs: ${node.trouble}; it goes on by itself`,
    ]);
    const during = await lab.json('status', 't/sweep');
    expect(during.counts).toMatchObject({ failed: 0 });
    expect(during.counts.queued).toBeGreaterThan(0);
    const waiting = during.jobs.find(({ state }: { state: string }) => state === 'queued');
    expect(await lab.ok('why', `t/sweep/${waiting.name}`)).toContain(node.trouble);
    disk.free();
    await lab.ok('wait', 't/sweep');
    expect((await lab.json('status', 't/sweep')).counts).toMatchObject({ succeeded: jobs, failed: 0 });
    await until('it is over', async () => (await lab.json('status')).notices.length === 0);
    expect(lab.agents.get('n1')?.ended).toBe(false);
  },
  90_000,
);

itWith('small disk')(
  'a head whose database cannot be written stops, says why at every start, and has lost nothing when there is room',
  async () => {
    const lab = await ownLab({ start: false });
    const disk = lab.loopDisk(lab.path('head'), 64 * mb);
    lab.must(await lab.labrun('head', 'init', '--data', lab.path('head'), '--archive', lab.path('archive')));
    appendFileSync(join(lab.path('head'), 'head.yaml'), 'diskReserve: 8M\n');
    await lab.startHead();
    await lab.startAgent('n1', { cpus: 2 });
    await lab.ok('submit', sweep(lab, 'sleep 0.5; head -c 3K /dev/urandom >$LABRUN_ARCHIVE/data'));
    await lab.untilStatus('t/sweep', 'jobs run', ({ counts }) => counts.succeeded >= 2);
    const before = await lab.json('status', 't/sweep');
    // The last page of the log may have room; the ends of jobs fill that, too.
    disk.fill(0);
    await until('the head stops', () => lab.head.ended, 30_000);
    const refuses = await lab.labrun('head', 'start', '--data', lab.path('head'), '--grpc', lab.address);
    expect(refuses.code).toBe(1);
    expect(refuses.stderr).toContain(`Cannot start on ${lab.path('head')}: its disk is full`);
    for (let times = 0; times < 3; times++)
      expect((await lab.labrun('head', 'start', '--data', lab.path('head'), '--grpc', lab.address)).code).toBe(1);
    disk.free();
    await lab.startHead();
    await lab.ok('wait', 't/sweep');
    const after = await lab.json('status', 't/sweep');
    expect(after.counts).toMatchObject({ succeeded: jobs, failed: 0 });
    for (const { name, state, finishedAt } of before.jobs)
      if (state === 'succeeded')
        expect(after.jobs.find((job: { name: string }) => job.name === name).finishedAt).toBe(finishedAt);
  },
  90_000,
);

function sweep(lab: Lab, run: string): string {
  const i = Array.from({ length: jobs }, (_, at) => String(at));
  return lab.jobFile('sweep', {
    name: 'sweep',
    namespace: 't',
    jobs: [{ name: 'j', matrix: { i }, needs: { cpus: 1 }, run }],
  });
}
