import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { delay, systemClock } from '../../base/clock.ts';
import { ownLab } from '../kit/lab.ts';
import { itWith } from '../kit/real-parts.ts';
import type { SmallDisk } from '../kit/small-disk.ts';
import { SimRandom } from '../sim/sim-random.ts';

/** `npm run faults` is long; `npm test` has a short form of the same. */
const isLong = process.env['LABRUN_FAULTS'] === 'long';
const { jobs, faults } = isLong ? { jobs: 200, faults: 30 } : { jobs: 24, faults: 3 };
const seed = Number(process.env['LABRUN_SEED'] ?? 1);
const mb = 2 ** 20;
const dataBytes = 200_000;

itWith('small disk')(
  `completes ${jobs} jobs while disks of head and agents are filled ${faults} times`,
  async () => {
    const lab = await ownLab({ start: false });
    const archive = lab.loopDisk(lab.path('archive'), 192 * mb);
    lab.must(await lab.labrun('head', 'init', '--data', lab.path('head'), '--archive', archive.folder));
    appendFileSync(join(lab.path('head'), 'head.yaml'), 'diskReserve: 8M\n');
    const disks = [archive];
    for (const name of ['n1', 'n2']) disks.push(lab.loopDisk(lab.agentFolder(name), 224 * mb));
    await lab.startHead();
    for (const name of ['n1', 'n2']) await lab.startAgent(name, { settings: { limits: { diskReserve: '16M' } } });
    const i = Array.from({ length: jobs }, (_, at) => String(at));
    const run = `head -c ${dataBytes} /dev/urandom >$LABRUN_ARCHIVE/data; sleep 0.5
      cp $LABRUN_ARCHIVE/data copy; md5sum <copy >$LABRUN_ARCHIVE/sum; md5sum <$LABRUN_ARCHIVE/data`;
    const matrix = { name: 'j', matrix: { i }, needs: { cpus: 1 }, run };
    await lab.ok('submit', lab.jobFile('sweep', { name: 'sweep', namespace: 't', jobs: [matrix] }));
    await spoil(disks, new SimRandom(seed));
    await lab.ok('wait', 't/sweep');

    const status = await lab.json('status', 't/sweep');
    expect(status.counts, `seed ${seed}`).toMatchObject({ succeeded: jobs, failed: 0, cancelled: 0 });
    for (const { name } of status.jobs) {
      const folder = join(archive.folder, 't/sweep', name);
      expect(readFileSync(join(folder, 'data')).length, name).toBe(dataBytes);
      expect(readFileSync(join(folder, '.labrun/log'), 'utf8'), name).toBe(readFileSync(join(folder, 'sum'), 'utf8'));
    }
    expect([lab.head.ended, ...[...lab.agents.values()].map(({ ended }) => ended)]).toEqual([false, false, false]);
  },
  1_200_000,
);

/** Fills one disk after the other, quite or nearly, or takes its inodes, for longer than anybody looks away. */
async function spoil(disks: readonly SmallDisk[], random: SimRandom): Promise<void> {
  for (let times = 0; times < faults; times++) {
    await delay(systemClock, random.between(200, 2_000));
    const disk = disks[times % disks.length] ?? random.pick([...disks]);
    if (random.chance(0.2)) disk.useUpInodes();
    else disk.fill(random.chance(0.6) ? 0 : random.between(0, 20) * mb);
    await delay(systemClock, random.between(2_500, 7_000));
    disk.free();
  }
}
