import { appendFileSync, readFileSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Lab, ownLab } from '../kit/lab.ts';
import { itWith } from '../kit/real-parts.ts';
import { until } from '../kit/until.ts';

const mb = 2 ** 20;
const reserveBytes = 16 * mb;

for (const [where, folder] of [
  ['its archive', '$LABRUN_ARCHIVE'],
  ['its working folder', '.'],
] as const) {
  itWith('small disk')(
    `an agent whose disk a job fills in ${where} says so, keeps serving, and runs the next batch`,
    async () => {
      const lab = await ownLab({ agents: {} });
      lab.smallDisk(lab.agentFolder('n1'), 160 * mb);
      const agent = await lab.startAgent('n1');
      const fills = `head -c 400M /dev/zero >${folder}/big || { echo cannot write; exit 7; }`;
      expect((await lab.labrun('submit', batch(lab, 'fills', fills), '--wait')).code).toBe(1);
      const [job] = (await lab.json('status', 't/fills')).jobs;
      expect(job).toMatchObject({ state: 'failed', reason: 'disk-full', attempt: 1 });
      expect(job.message).toContain('the disk of the node was full');
      if (folder !== '.') expect(statSync(join(lab.archive, 't/fills/j/big')).size).toBeGreaterThan(100 * mb);
      await lab.ok('submit', batch(lab, 'next', 'echo fine >$LABRUN_ARCHIVE/answer'), '--wait');
      expect(readFileSync(join(lab.archive, 't/next/j/answer'), 'utf8')).toBe('fine\n');
      expect(agent.ended).toBe(false);
    },
    60_000,
  );
}

itWith('small disk')(
  'a head without room refuses to take in more, and goes on when there is room again',
  async () => {
    const lab = await aLabWithSmallHead();
    await lab.startAgent('n1');
    await lab.ok('submit', batch(lab, 'before', 'true'), '--wait');
    const ballast = join(lab.path('head'), 'ballast');
    const { bavail, bsize } = statfsSync(lab.path('head'));
    writeFileSync(ballast, Buffer.alloc(bavail * bsize - reserveBytes / 2));
    let tries = 0;
    const refused = await until('the head refuses', async () => {
      const answer = await lab.labrun('submit', batch(lab, `during-${tries++}`, 'true'));
      return answer.code === 0 ? undefined : answer;
    });
    expect(refused.stderr).toMatch(/the disk of the head's (database|inputs) is nearly full, .+ left/);
    expect(refused.code).toBe(1);
    rmSync(ballast);
    await until('the head takes it', async () => (await lab.labrun('submit', batch(lab, 'after', 'true'))).code === 0);
    await lab.ok('wait', 't/after');
  },
  40_000,
);

async function aLabWithSmallHead(): Promise<Lab> {
  const lab = await ownLab({ start: false });
  lab.smallDisk(lab.path('head'), 96 * mb);
  lab.must(await lab.labrun('head', 'init', '--data', lab.path('head')));
  appendFileSync(join(lab.path('head'), 'head.yaml'), `diskReserve: ${reserveBytes / mb}M\n`);
  await lab.startHead();
  return lab;
}

function batch(lab: Lab, name: string, run: string): string {
  return lab.jobFile(name, { name, namespace: 't', jobs: [{ name: 'j', needs: { cpus: 1 }, run }] });
}
