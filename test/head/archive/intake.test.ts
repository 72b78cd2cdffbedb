import { afterAll, expect, it } from 'vitest';
import { assert } from '../../../base/assert.ts';
import { asBatchId } from '../../../base/ids.ts';
import { systemRandom } from '../../../base/random.ts';
import { hashBytes } from '../../../base/transfer/hash.ts';
import { archiveIntake } from '../../../head/archive/intake.ts';
import { StageWriter } from '../../../head/archive/stage-writer.ts';
import { StagedAttempt } from '../../../head/archive/staged-attempt.ts';
import { StagingUsage } from '../../../head/archive/staging-usage.ts';
import { ManualClock } from '../../kit/manual-clock.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { until } from '../../kit/until.ts';

const batchId = asBatchId('01J00000000000000000000003');
assert(batchId, 'this is an id');
const ref = { batchId, index: 0, attempt: 1 };
const files = new StageWriter();
afterAll(() => files.close());

for (const code of ['EMFILE', 'EIO', 'ESTALE']) {
  it(`an archive whose folder cannot be opened for ${code} is accepted as soon as it can`, async () => {
    const staged = await StagedAttempt.open(scratchFolder(), new StagingUsage(() => 100).shareOf('lab'), files);
    await staged.take('manifest', { offset: 0, data: Buffer.alloc(0), truncate: true, finalHash: hashBytes('') });
    let trouble: Error | undefined = Object.assign(new Error(`${code}: scandir`), { code });
    const told: string[] = [];
    const clock = new ManualClock();
    const intake = archiveIntake({
      staging: { openLive: async () => (trouble ? Promise.reject(trouble) : staged) },
      publisher: { room: async () => undefined },
      disks: { problem: () => undefined, failed: (_role, why) => void told.push(why) },
      ...{ clock, random: systemRandom },
    });
    const sealing = intake.seal(ref, hashBytes(''), new AbortController().signal);
    await until('it is told', () => told.length > 0);
    trouble = undefined;
    clock.advance(2_000);
    expect(await sealing).toEqual({ kind: 'sealed' });
  });
}
