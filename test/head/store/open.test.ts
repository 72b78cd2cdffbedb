import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { Engine } from '../../../head/engine.ts';
import type { Actor } from '../../../head/scheduler/event.ts';
import { violations } from '../../../head/scheduler/invariants.ts';
import { openStore, type Store } from '../../../head/store/open.ts';
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
    diskIsFull: () => false,
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
    await fill(1, 301);
    const again = await openStore(folder, { acceptLoss: false });
    expect(violations(again.draft)).toEqual([]);
    await again.abandon();
  });

  it('keeps 100,000 waiting jobs small and is back within the limit', async () => {
    const store = await openStore(folder, { acceptLoss: false });
    const engine = engineOn(store);
    await engine.submit(ada, { kind: 'start-head', version: '0', clusterId: theCluster });
    await engine.submit(ada, aSubmit(1, { groups: [someGroup({ count: 100_000 })] }));
    const { rows } = store.draft.batches.values().next().value ?? {};
    expect(rows?.count).toBe(100_000);
    await engine.close();
    await store.abandon();
    const again = await openStore(folder, { acceptLoss: false });
    expect(again.draft.batches.values().next().value?.rows.counts.queued).toBe(100_000);
    await again.abandon();
  });
});

function biggestFile(of: string): string {
  const files = readdirSync(of)
    .filter((name) => name.endsWith('.log'))
    .map((name) => join(of, name));
  const [biggest] = files.sort((a, b) => statSync(b).size - statSync(a).size);
  if (biggest === undefined) throw new Error('LevelDB has a log');
  return biggest;
}
