import { appendFileSync, existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Lab, ownLab } from '../kit/lab.ts';
import { itWith } from '../kit/real-parts.ts';
import type { SmallDisk } from '../kit/small-disk.ts';
import { until } from '../kit/until.ts';

const mb = 2 ** 20;
const jobs = 20;
/** Of each archive: together too much for what is left of the disk. One is large, and cut off in its middle. */
const archiveBytes = 2 * mb;
const largeBytes = 24 * mb;
const isLong = process.env['LABRUN_FAULTS'] === 'long';

const troubles: readonly {
  readonly name: string;
  readonly inodes?: number;
  readonly begin: (disk: SmallDisk) => void;
  readonly end: (disk: SmallDisk) => void;
  readonly says: RegExp;
}[] = [
  {
    name: 'is full',
    begin: (disk) => disk.fill(30 * mb),
    end: (disk) => disk.free(),
    says: /the disk of the head's archive \(\S+\) is nearly full, .+ left of the 8\.0 MiB that are kept free: results wait at their nodes while jobs go on; make room there, and everything goes on by itself/,
  },
  {
    name: 'has no inodes left',
    inodes: 200,
    begin: (disk) => disk.useUpInodes(),
    end: (disk) => disk.free(),
    says: /archive \(\S+\) takes no more files, \d+ inodes left/,
  },
  {
    name: 'is read-only',
    begin: (disk) => disk.setReadOnly(true),
    end: (disk) => disk.setReadOnly(false),
    says: /archive \(\S+\) is read-only/,
  },
];

// A unit test holds the short form to the one that is left out.
for (const { name, inodes, begin, end, says } of isLong ? troubles : troubles.filter((one) => !one.inodes)) {
  itWith('small disk')(
    `when the head's archive disk ${name} in the middle of ${jobs} archives no job fails, and all complete once it is well`,
    async () => {
      const { lab, disk } = await aLabWithArchiveDisk(inodes);
      await lab.startAgent('n1', { cpus: 4 });
      await lab.ok('submit', lab.jobFile('sweep', sweep(lab)));
      await lab.untilStatus('t/sweep', 'the first archives are in', ({ counts }) => counts.succeeded >= 2);
      await until('the disk can be spoilt', () => succeeds(() => begin(disk)));
      lab.write('.', { spoilt: '' });
      // A kernel that is asked to make a disk read-only refuses writes for a moment even where it then finds it busy.
      const notices = await until('status says what is wrong', async () => {
        const told: readonly { readonly text: string }[] = (await lab.json('status')).notices;
        return told.some(({ text }) => says.test(text)) ? told : undefined;
      });
      expect(notices).toHaveLength(1);
      expect(notices[0]?.text).toContain(disk.folder);
      // What could be taken in is in by now, and what could not waits.
      const during = await lab.json('status', 't/sweep');
      expect(during.counts.failed).toBe(0);
      expect(during.counts.succeeded).toBeLessThan(jobs);
      end(disk);
      await lab.ok('wait', 't/sweep');
      await until('status has nothing to say', async () => (await lab.json('status')).notices.length === 0);
      const after = await lab.json('status', 't/sweep');
      expect(after.counts).toMatchObject({ succeeded: jobs, failed: 0 });
      // Nothing ran twice, either.
      expect(readFileSync(lab.path('ran'), 'utf8').trim().split('\n').sort()).toEqual(
        after.jobs.map((job: { name: string }) => job.name).sort(),
      );
      for (const job of after.jobs) {
        expect(job.attempt, job.name).toBe(1);
        const folder = join(disk.folder, 't/sweep', job.name);
        expect(statSync(join(folder, 'data')).size, job.name).toBe(job.index === 8 ? largeBytes : archiveBytes);
        expect(existsSync(join(folder, '.labrun/manifest')), job.name).toBe(true);
      }
      expect(lab.head.ended).toBe(false);
    },
    90_000,
  );
}

/** A head whose archive is on a disk of its own, which keeps 8 MiB free. */
async function aLabWithArchiveDisk(inodes: number | undefined): Promise<{ lab: Lab; disk: SmallDisk }> {
  const lab = await ownLab({ start: false });
  const disk = lab.loopDisk(lab.path('archive'), 128 * mb, inodes === undefined ? {} : { inodes });
  lab.must(await lab.labrun('head', 'init', '--data', lab.path('head'), '--archive', disk.folder));
  appendFileSync(join(lab.path('head'), 'head.yaml'), 'diskReserve: 8M\n');
  await lab.startHead();
  return { lab, disk };
}

function sweep(lab: Lab): object {
  const i = Array.from({ length: jobs }, (_, at) => String(at));
  // The second half ends when the disk is spoilt, however quick the machine is.
  const wait = `[ $LABRUN_INDEX -lt ${jobs / 2} ] || until [ -e ${lab.path('spoilt')} ]; do sleep 0.05; done`;
  const run = `sleep 0.3; ${wait}; head -c $(( LABRUN_INDEX == 8 ? ${largeBytes} : ${archiveBytes} )) /dev/urandom >$LABRUN_ARCHIVE/data; echo $LABRUN_JOB >>${lab.path('ran')}`;
  return { name: 'sweep', namespace: 't', jobs: [{ name: 'j', matrix: { i }, needs: { cpus: 1 }, run }] };
}

function succeeds(act: () => void): boolean {
  try {
    act();
    return true;
  } catch {
    return false;
  }
}
