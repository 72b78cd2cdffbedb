import { expect, it } from 'vitest';
import { systemClock } from '../../base/clock.ts';
import { deferred } from '../../base/deferred.ts';
import { hashBytes } from '../../base/transfer/hash.ts';
import { writeSpec } from '../../config/spec-file.ts';
import { BlobStore } from '../../head/archive/blobs.ts';
import { InputUsage } from '../../head/archive/input-usage.ts';
import { Specs } from '../../head/specs.ts';
import { scratchFolder } from '../kit/scratch-folder.ts';
import { aSpec } from '../kit/spec.ts';
import { until } from '../kit/until.ts';

it('looks for a spec that is gone once for all who miss it, and again for who misses it later', async () => {
  const bytes = Buffer.from(writeSpec(aSpec()));
  const blobs = new BlobStore(scratchFolder(), systemClock, new InputUsage(() => 1_000));
  await blobs.start();
  const searches = [deferred<Buffer | undefined>(), deferred<Buffer | undefined>()];
  let begun = 0;
  const specs = new Specs(blobs, () => searches[begun++]?.promise ?? Promise.resolve(undefined));
  const both = Promise.allSettled([specs.read(hashBytes(bytes)), specs.read(hashBytes(bytes))]);
  await until('both have missed it', () => begun > 0 && !process.getActiveResourcesInfo().includes('FSReqPromise'));
  searches[0]?.resolve(undefined);
  expect(await both).toMatchObject([
    { status: 'rejected', reason: { code: 'lost' } },
    { status: 'rejected', reason: { code: 'lost' } },
  ]);
  expect(begun).toBe(1);
  searches[1]?.resolve(bytes);
  expect(await specs.read(hashBytes(bytes))).toMatchObject({ name: aSpec().name });
  expect(begun).toBe(2);
});
