import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { Engine } from '../../../head/engine.ts';
import type { Actor } from '../../../head/scheduler/actor.ts';
import { violations } from '../../../head/scheduler/invariants.ts';
import { crc32c } from '../../../head/store/checksum.ts';
import { openDatabase } from '../../../head/store/database.ts';
import { recordKey, snapshotKey } from '../../../head/store/keys.ts';
import { openStore, type Store } from '../../../head/store/open.ts';
import { snapshotSeqs } from '../../../head/store/snapshot.ts';
import * as disk from '../../../proto/gen/labrun/store/v1/log.ts';
import { aSubmit, someGroup, theCluster } from '../../kit/state.ts';

const ada: Actor = { kind: 'user', name: 'ada' };
let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'labrun-store-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function engineOn(store: Store): Engine {
  return new Engine({
    clock: systemClock,
    log: store,
    draft: store.draft,
    diskProblem: () => undefined,
    onFatal: (error) => {
      throw error;
    },
  });
}

/** Submits batches one after the other and leaves the database as a killed head would. */
async function fill(batches: number, from = 1): Promise<void> {
  const store = await openStore(folder, { acceptLoss: false });
  const engine = engineOn(store);
  if (store.draft.epoch === 0) await engine.submit(ada, { kind: 'start-head', version: '0', clusterId: theCluster });
  for (let at = from; at < from + batches; at++) {
    const verdict = await engine.submit(ada, aSubmit(at, { groups: [someGroup({ count: 7 })] }));
    expect(verdict.kind).toBe('accepted');
  }
  await engine.close();
  await store.abandon();
}

describe('the store', () => {
  it('finds everything that was acknowledged', async () => {
    await fill(40);
    const store = await openStore(folder, { acceptLoss: false });
    expect(store.draft.batches.size).toBe(40);
    expect(violations(store.draft)).toEqual([]);
    await store.close(store.draft);
    const fromSnapshot = await openStore(folder, { acceptLoss: false });
    expect(fromSnapshot.draft.batches.size).toBe(40);
    expect(violations(fromSnapshot.draft)).toEqual([]);
    expect(await fromSnapshot.checkHistory()).toBeUndefined();
    await fromSnapshot.abandon();
  });

  it('lets no second head in', async () => {
    const store = await openStore(folder, { acceptLoss: false });
    await expect(openStore(folder, { acceptLoss: false })).rejects.toThrow('another head is running on this data');
    await store.abandon();
  });

  it('names a record that is damaged, wherever the damage is, and goes on without it only when told to', async () => {
    await fill(300);
    const log = biggestFile(join(folder, 'log'));
    const size = statSync(log).size;
    for (const part of [0.1, 0.5, 0.97]) {
      const bytes = readFileSync(log);
      const at = Math.floor(size * part);
      bytes[at] = (bytes[at] ?? 0) ^ 0x20;
      writeFileSync(log, bytes);
      await expect(openStore(folder, { acceptLoss: false }), `byte ${at} of ${size}`).rejects.toThrow(
        /the log is damaged: .*--accept-loss/,
      );
      bytes[at] = (bytes[at] ?? 0) ^ 0x20;
      writeFileSync(log, bytes);
    }
    const bytes = readFileSync(log);
    bytes[Math.floor(size / 2)] = (bytes[Math.floor(size / 2)] ?? 0) ^ 0xff;
    writeFileSync(log, bytes);
    const store = await openStore(folder, { acceptLoss: true });
    expect(store.accepted?.seq).toBeGreaterThan(1);
    expect(store.draft.batches.size).toBeLessThan(300);
    await store.abandon();
    // Killed before its log told of the loss: the next one is told of it, too.
    await expect(openStore(folder, { acceptLoss: false })).rejects.toThrow(/--accept-loss/);
    const next = await openStore(folder, { acceptLoss: true });
    expect(next.accepted?.seq).toBe(store.accepted?.seq);
    const engine = engineOn(next);
    await engine.submit(ada, { kind: 'note-shortened', how: 'accepted', message: 'the end is gone' });
    await engine.close();
    await next.abandon();
    await fill(1, 301);
    const again = await openStore(folder, { acceptLoss: false });
    expect(violations(again.draft)).toEqual([]);
    await again.abandon();
  });

  it('finds a damaged record in a table file, too', async () => {
    await fill(300);
    await (await openStore(folder, { acceptLoss: false })).abandon(); // opening moved the log into a table
    const table = biggestFile(join(folder, 'log'), '.ldb');
    flip(table, Math.floor(statSync(table).size / 2));
    await expect(openStore(folder, { acceptLoss: false })).rejects.toThrow(/Cannot (start|open)/);
  });

  it('falls back to the snapshot before when the newest is damaged, and loses nothing', async () => {
    await fill(10);
    for (const batches of [10, 20]) {
      const store = await openStore(folder, { acceptLoss: false });
      expect(store.draft.batches.size).toBe(batches);
      await store.close(store.draft);
      if (batches === 10) await fill(10, 11);
    }
    const database = await openDatabase(join(folder, 'log'));
    const [newest = 0, before = 0] = await snapshotSeqs(database);
    expect(newest).toBeGreaterThan(before);
    const value = await database.get(snapshotKey(newest));
    if (value === undefined) throw new Error('the newest snapshot is there');
    value[value.length >>> 1] = (value[value.length >>> 1] ?? 0) ^ 1;
    await database.put(snapshotKey(newest), value);
    await database.close();
    const store = await openStore(folder, { acceptLoss: false });
    expect(store.damagedSnapshots).toEqual([newest]);
    expect(store.draft.batches.size).toBe(20);
    expect(violations(store.draft)).toEqual([]);
    await store.abandon();
  });

  it('closes only when what reads or writes beside serving is over', async () => {
    await fill(40);
    const first = await openStore(folder, { acceptLoss: false });
    await first.close(first.draft);
    const store = await openStore(folder, { acceptLoss: false });
    const check = store.checkHistory();
    await store.abandon();
    await expect(check).resolves.toBeUndefined();
  });

  it('refuses a log that a newer labrun has written', async () => {
    await fill(1);
    const database = await openDatabase(join(folder, 'log'));
    const chain = Buffer.alloc(16);
    const body = Buffer.from(disk.LogRecord.encode(disk.LogRecord.fromPartial({ format: 99, seq: 1n })).finish());
    const record = disk.StoredRecord.encode({ body, previousHash: chain, crc: crc32c(chain, body) }).finish();
    await database.put(recordKey(1), Buffer.from(record));
    await database.close();
    await expect(openStore(folder, { acceptLoss: true })).rejects.toThrow(
      /newer labrun \(format 99\).*upgrade this head/,
    );
  });

  it('keeps 100,000 waiting jobs in a few bytes each, and writes one record for them', async () => {
    const store = await openStore(folder, { acceptLoss: false });
    const engine = engineOn(store);
    await engine.submit(ada, aSubmit(1, { groups: [someGroup({ count: 100_000 })] }));
    expect(store.draft.seq).toBe(1);
    await engine.close();
    await store.abandon();
    const again = await openStore(folder, { acceptLoss: false });
    const rows = again.draft.batches.values().next().value?.rows;
    expect(rows?.counts.queued).toBe(100_000);
    const bytes = Object.values(rows ?? {}).reduce(
      (sum, one) => sum + (ArrayBuffer.isView(one) ? one.byteLength : 0),
      0,
    );
    expect(bytes).toBeGreaterThan(100_000);
    expect(bytes).toBeLessThanOrEqual(100_000 * 30);
    await again.close(again.draft);
    const fromSnapshot = await openStore(folder, { acceptLoss: false });
    const [queue] = fromSnapshot.draft.batches.values().next().value?.queues ?? [];
    expect(queue).toMatchObject({ cursor: 0, end: 100_000, queued: 100_000, returned: [] });
    await fromSnapshot.abandon();
  });
});

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] ?? 0) ^ 0x20;
  writeFileSync(path, bytes);
}

function biggestFile(of: string, ending = '.log'): string {
  const files = readdirSync(of)
    .filter((name) => name.endsWith(ending))
    .map((name) => join(of, name));
  const [biggest] = files.sort((a, b) => statSync(b).size - statSync(a).size);
  if (biggest === undefined) throw new Error(`LevelDB has a ${ending} file`);
  return biggest;
}
