import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { apply } from '../../../head/scheduler/apply.ts';
import type { LogRecord } from '../../../head/scheduler/event.ts';
import { openDatabase } from '../../../head/store/database.ts';
import { recordKey } from '../../../head/store/keys.ts';
import { openStore, type Store, type StoreLimits } from '../../../head/store/open.ts';
import { snapshotSeqs } from '../../../head/store/snapshot.ts';
import { HeadWorld } from '../../kit/head-world.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { aSpec } from '../../kit/spec.ts';
import { theCluster } from '../../kit/state.ts';

const dayMs = 24 * 3_600_000;
const startMs = 1_800_000_000_000;
const never: StoreLimits = {
  snapshotRecords: Number.POSITIVE_INFINITY,
  snapshotBytes: Number.POSITIVE_INFINITY,
  snapshotMs: Number.POSITIVE_INFINITY,
  recordsKept: Number.POSITIVE_INFINITY,
  keptMs: Number.POSITIVE_INFINITY,
};

/** A store into which a record is written at every step, as a head does that serves. */
async function writing(limits: Partial<StoreLimits>, folder = scratchFolder()) {
  const store = await openStore(folder, { acceptLoss: false, limits: { ...never, ...limits } });
  return {
    store,
    folder,
    async step(afterMs: number, version = '0'): Promise<void> {
      const { draft } = store;
      const record: LogRecord = {
        seq: draft.seq + 1,
        atMs: Math.max(startMs, draft.atMs + afterMs),
        actor: { kind: 'system', name: 'head' },
        event: { kind: 'head-started', epoch: draft.epoch + 1, version, clusterId: theCluster },
      };
      apply(draft, record);
      await store.append([record]);
      await store.snapshotIfDue(draft);
    },
  };
}

async function snapshots(store: Store, folder: string): Promise<number[]> {
  await store.abandon();
  const database = await openDatabase(join(folder, 'log'));
  const seqs = await snapshotSeqs(database);
  await database.close();
  return seqs;
}

describe('a store that serves', () => {
  it('writes a snapshot after so many records, and keeps the one before it', async () => {
    const { store, folder, step } = await writing({ snapshotRecords: 10 });
    for (let at = 0; at < 35; at++) await step(1);
    expect(await snapshots(store, folder)).toEqual([30, 20]);
  });

  it('writes one after so many bytes, which few large archives make', async () => {
    const { store, folder, step } = await writing({ snapshotBytes: 100_000 });
    for (let at = 0; at < 5; at++) await step(1, 'x'.repeat(40_000));
    expect(await snapshots(store, folder)).toEqual([3]);
  });

  it('writes one after so long, and none while nothing happens', async () => {
    const { store, folder, step } = await writing({ snapshotMs: 3_600_000 });
    await step(0);
    for (let at = 0; at < 5; at++) await step(1_800_000);
    await store.snapshotIfDue(store.draft);
    expect(await snapshots(store, folder)).toEqual([5, 3]);
  });

  it('drops records that are older than they are kept, but none after the snapshot before the last', async () => {
    const { store, step } = await writing({ snapshotRecords: 10, keptMs: 30 * dayMs });
    for (let at = 0; at < 60; at++) await step(dayMs);
    // The last snapshot was taken on day 60; the one before it on day 50.
    expect(await store.log.oldest()).toBe(30);
    for (let at = 0; at < 10; at++) await step(40 * dayMs);
    expect(await store.log.oldest()).toBe(61);
    await store.abandon();
  });

  it('drops records beyond the number that is kept', async () => {
    const { store, step } = await writing({ snapshotRecords: 10, recordsKept: 25 });
    for (let at = 0; at < 60; at++) await step(1);
    expect(await store.log.oldest()).toBe(35);
    await store.abandon();
  });

  it('keeps what somebody has yet to read, whatever its age', async () => {
    const { store, step } = await writing({ snapshotRecords: 10, recordsKept: 5 });
    store.keepFrom(() => 7);
    for (let at = 0; at < 60; at++) await step(1);
    expect(await store.log.oldest()).toBe(7);
    await store.abandon();
  });

  it('drops history that is damaged like any other, and starts on what is left', async () => {
    const { store, folder, step } = await writing({ snapshotRecords: 10, keptMs: 30 * dayMs });
    for (let at = 0; at < 20; at++) await step(dayMs);
    await store.abandon();
    const database = await openDatabase(join(folder, 'log'));
    await database.put(recordKey(3), Buffer.from('nothing that can be read'));
    await database.close();
    const again = await writing({ snapshotRecords: 10, keptMs: 30 * dayMs }, folder);
    expect((await again.store.checkHistory())?.seq).toBe(3);
    for (let at = 0; at < 40; at++) await again.step(dayMs);
    expect(await again.store.log.oldest()).toBe(30);
    expect(await again.store.checkHistory()).toBeUndefined();
    await again.store.close(again.store.draft);
    const last = await openStore(folder, { acceptLoss: false });
    expect(last.draft.seq).toBe(60);
    await last.abandon();
  });
});

it('tells who asks for events that are no longer kept from where on there are any', async () => {
  const folder = scratchFolder();
  const first = await HeadWorld.open(folder);
  for (const name of ['one', 'two', 'three']) await first.submit(aSpec({ name }));
  await first.close();
  const database = await openDatabase(join(folder, 'log'));
  await database.clear({ gte: recordKey(0), lt: recordKey(3) });
  await database.close();
  const world = await HeadWorld.on(folder);
  onTestFinished(() => world.close());
  await expect(world.story({}, 2n)).rejects.toThrow('Cannot tell events from 2 on: the oldest kept is 3');
  expect((await world.story()).map(({ seq }) => Number(seq))).toEqual([3, 4, 5]);
});
