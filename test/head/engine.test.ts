import { describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../base/clock.ts';
import { refused } from '../../base/errors.ts';
import { Engine, type EngineOptions } from '../../head/engine.ts';
import type { Actor } from '../../head/scheduler/actor.ts';
import { emptyCluster } from '../../head/scheduler/draft.ts';
import type { LogRecord } from '../../head/scheduler/event.ts';
import { leaseMs } from '../../head/scheduler/limits.ts';
import { ManualClock } from '../kit/manual-clock.ts';
import { aConnect, aSubmit, nodeNumber, theCluster } from '../kit/state.ts';

const ada: Actor = { kind: 'user', name: 'ada' };

/** An engine on a log that finishes a write only when told to. */
function anEngine(over: { diskProblem?: EngineOptions['diskProblem']; clock?: Clock } = {}) {
  const written: LogRecord[] = [];
  const fatal: unknown[] = [];
  const writes: { finish: () => void; fail: (error: Error) => void }[] = [];
  let manual = false;
  const engine = new Engine({
    clock: over.clock ?? systemClock,
    draft: emptyCluster(),
    diskProblem: over.diskProblem ?? (() => undefined),
    onFatal: (error) => fatal.push(error),
    log: {
      append: (records) =>
        new Promise((resolve, reject) => {
          const finish = () => {
            written.push(...records);
            resolve();
          };
          if (manual) writes.push({ finish, fail: reject });
          else finish();
        }),
    },
  });
  return { engine, written, fatal, writes, hold: () => (manual = true) };
}

describe('the engine', () => {
  it('lets nothing out before it is on disk: no answer, no event, no read', async () => {
    const { engine, writes, hold } = anEngine();
    await engine.submit(ada, { kind: 'start-head', version: '0', clusterId: theCluster });
    hold();
    const seen: string[] = [];
    engine.subscribe((records) => seen.push(...records.map((record) => record.event.kind)));
    const answer = engine.submit(ada, aSubmit(1)).then(() => seen.push('answered'));
    const read = engine.query((state) => state.batches.size).then((size) => seen.push(`read ${size}`));
    await new Promise((resolve) => setImmediate(resolve));
    expect(seen).toEqual([]);
    expect(writes).toHaveLength(1);
    writes[0]?.finish();
    await Promise.all([answer, read]);
    expect(seen).toContain('batch-submitted');
    expect(seen).toContain('read 1');
  });

  it('ends without an answer when a write fails', async () => {
    const { engine, fatal, writes, hold } = anEngine();
    hold();
    let answered = false;
    void engine.submit(ada, aSubmit(1)).then(() => {
      answered = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    writes[0]?.fail(new Error('EIO'));
    await new Promise((resolve) => setImmediate(resolve));
    expect(fatal).toMatchObject([{ message: 'EIO' }]);
    expect(answered).toBe(false);
    expect(await engine.submit(ada, aSubmit(2))).toMatchObject({ kind: 'refused', code: 'busy' });
  });

  it('refuses what grows while the disk is full, and goes on with what ends things', async () => {
    let full = false;
    const { engine } = anEngine({ diskProblem: () => (full ? refused('disk-full', 'full') : undefined) });
    await engine.submit(ada, aSubmit(1));
    full = true;
    expect(await engine.submit(ada, aSubmit(2))).toMatchObject({ kind: 'refused', code: 'disk-full' });
    const batchId = await engine.query((state) => [...state.batches.keys()][0]);
    if (!batchId) throw new Error('the first batch is there');
    expect(await engine.submit(ada, { kind: 'cancel', batchId, jobs: [0, 1] })).toMatchObject({ kind: 'accepted' });
  });

  it('writes what waited together in one go', async () => {
    const { engine, written } = anEngine();
    await Promise.all(Array.from({ length: 50 }, (_, at) => engine.submit(ada, aSubmit(at + 1))));
    expect(written.filter((record) => record.event.kind === 'batch-submitted')).toHaveLength(50);
    expect(new Set(written.map((record) => record.atMs)).size).toBeLessThanOrEqual(2);
  });

  it('refuses people when too many requests wait, but loses nothing of what nodes tell, and reads for the head', async () => {
    const { engine, writes, hold } = anEngine();
    hold();
    const node: Actor = { kind: 'node', name: 'ws1' };
    const connected = engine.submit(node, aConnect(1));
    await idle();
    const people = Array.from({ length: 10_000 }, () => engine.submit(ada, { kind: 'revoke-token', id: 'none' }));
    expect(await engine.submit(ada, { kind: 'revoke-token', id: 'none' })).toMatchObject({ code: 'busy' });
    await expect(engine.query((state) => state.seq, 'refuse')).rejects.toThrow('too many wait');
    const told = engine.submit(node, { kind: 'disconnect-node', nodeId: nodeNumber(1) });
    const read = engine.query((state) => state.nodes.get(nodeNumber(1))?.connected);
    while (writes.length > 0) {
      writes.shift()?.finish();
      await idle();
    }
    expect(await Promise.all([connected, told])).toMatchObject([{ kind: 'accepted' }, { kind: 'accepted' }]);
    expect(await read).toBe(false);
    expect(await Promise.all(people)).toHaveLength(10_000);
  });

  it('wakes by itself when the next deadline has come, and for nothing else', async () => {
    const clock = new ManualClock();
    const { engine, written } = anEngine({ clock });
    const kinds = () => written.map((record) => record.event.kind);
    const node: Actor = { kind: 'node', name: 'ws1' };
    await engine.submit(node, aConnect(1));
    await engine.submit(ada, aSubmit(1));
    await idle();
    expect(clock.waits).toEqual([]);
    await engine.submit(node, { kind: 'disconnect-node', nodeId: nodeNumber(1) });
    await idle();
    expect(clock.waits).toEqual([leaseMs]);
    clock.advance(leaseMs - 1);
    await idle();
    expect(kinds()).not.toContain('attempt-lapsed');
    // Whatever else is asked in between moves no deadline and leaves one timer.
    await engine.submit(ada, aSubmit(2));
    await idle();
    expect(clock.waits).toEqual([1]);
    clock.advance(1);
    await idle();
    expect(kinds().filter((kind) => kind === 'attempt-lapsed')).toHaveLength(1);
    expect(written.at(-1)?.atMs).toBe(clock.nowMs());
    expect(clock.waits).toEqual([]);
    await engine.close();
  });

  it('wakes for a deadline also while requests never cease', async () => {
    const clock = new ManualClock();
    const { engine, written, writes, hold } = anEngine({ clock });
    await engine.submit(ada, aConnect(1));
    await engine.submit(ada, aSubmit(1));
    hold();
    void engine.submit(ada, { kind: 'disconnect-node', nodeId: nodeNumber(1) });
    for (let at = 2; at < 10; at++) {
      // While each write is under way the next request comes.
      await idle();
      void engine.submit(ada, aSubmit(at));
      if (at === 5) clock.advance(leaseMs);
      writes.shift()?.finish();
    }
    expect(written.map((record) => record.event.kind)).toContain('attempt-lapsed');
    await idle();
    writes.shift()?.finish();
    await engine.close();
  });

  it('asks its clock for nothing any more once it is closed', async () => {
    const clock = new ManualClock();
    const { engine } = anEngine({ clock });
    await engine.submit(ada, aConnect(1));
    await engine.submit(ada, aSubmit(1));
    await engine.submit(ada, { kind: 'disconnect-node', nodeId: nodeNumber(1) });
    await idle();
    expect(clock.waits).toHaveLength(1);
    await engine.close();
    expect(clock.waits).toEqual([]);
  });
});

/** The log of these tests answers at once, so a turn has ended when the loop has gone round. */
function idle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
