import { appendFileSync, rmSync, statfsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { asNodeId, type NodeId, ulid } from '../../../base/ids.ts';
import { systemRandom } from '../../../base/random.ts';
import { hashBytes } from '../../../base/transfer/hash.ts';
import type { Attempt, Phase } from '../../../node-agent/attempts/attempt.ts';
import { openRecord } from '../../../node-agent/store/record.ts';
import { aFence, anAttempt } from '../../kit/attempts.ts';
import { itWith } from '../../kit/real-parts.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { mountSmallDisk } from '../../kit/small-disk.ts';
import { until } from '../../kit/until.ts';

let top: string;
let folder: string;
beforeEach(async () => {
  top = await mkdtemp(join(tmpdir(), 'labrun-record-'));
  folder = join(top, 'record');
});
afterEach(() => rm(top, { recursive: true }));

function nodeId(seed: number): NodeId {
  const id = asNodeId(ulid(seed, Buffer.alloc(10, seed)));
  if (!id) throw new Error('the test makes proper ids');
  return id;
}

describe("the agent's record", () => {
  it('makes the node id once', async () => {
    const first = await openRecord(folder, () => nodeId(7), systemClock);
    await first.close();
    const second = await openRecord(folder, () => nodeId(8), systemClock);
    expect(second.nodeId).toBe(nodeId(7));
    await second.close();
  });

  it('keeps attempts in the order assigned, with bytes and all, and forgets what was removed', async () => {
    const ended: Phase = {
      kind: 'ended',
      startedAtMs: 1,
      endedAtMs: 2,
      outcome: { state: 'failed', reason: 'exit', message: 'base64:abc', exitCode: 1, signal: undefined, ranMs: 1 },
      manifestHash: hashBytes('m'),
      inline: { manifest: new Uint8Array([0, 255]), files: [{ path: 'log', data: new Uint8Array([1, 2]) }] },
    };
    const record = await openRecord(folder, () => nodeId(7), systemClock);
    const attempts = Array.from({ length: 12 }, (_, index) => anAttempt(11 - index));
    for (const attempt of attempts) record.save(attempt);
    await record.durable();
    const [first, second] = attempts;
    if (!first || !second) throw new Error('there are twelve');
    record.save({ ...first, phase: ended });
    record.remove(second.id);
    await record.close();
    const again = await openRecord(folder, () => nodeId(8), systemClock);
    const kept = again.attempts;
    expect(kept.map(({ id }) => id)).toEqual(attempts.filter(({ id }) => id !== second.id).map(({ id }) => id));
    expect(kept[0]?.phase).toEqual(ended);
    await again.close();
  });

  it('does not tell apart what the executor is asked after a restart', async () => {
    const record = await openRecord(folder, () => nodeId(7), systemClock);
    record.save({ ...anAttempt(0, { kind: 'running', startedAtMs: 5 }), stop: 'cancelled' });
    await record.close();
    const again = await openRecord(folder, () => nodeId(8), systemClock);
    expect(again.attempts).toEqual([{ ...anAttempt(0), stop: 'cancelled' }]);
    await again.close();
  });

  it('remembers its cluster', async () => {
    const record = await openRecord(folder, () => nodeId(7), systemClock);
    expect(record.clusterId).toBeUndefined();
    await record.joinCluster(aFence().clusterId);
    await record.close();
    const again = await openRecord(folder, () => nodeId(8), systemClock);
    expect(again.clusterId).toBe(aFence().clusterId);
    await again.close();
  });

  it('refuses a second agent on the same data', async () => {
    const record = await openRecord(folder, () => nodeId(7), systemClock);
    await expect(openRecord(folder, () => nodeId(8), systemClock)).rejects.toThrow('another agent is running on it');
    await record.close();
  });

  itWith('small disk')('can be written, and opened again, on a disk that a job has filled', async () => {
    const disk = scratchFolder();
    const mounted = mountSmallDisk(disk, 24 * 2 ** 20);
    onTestFinished(() => mounted.remove());
    const place = join(disk, 'record');
    let record = await openRecord(place, () => nodeId(7), systemClock);
    const fill = () => {
      const { bavail, bsize } = statfsSync(disk);
      appendFileSync(join(disk, 'ballast'), Buffer.alloc(bavail * bsize));
    };
    fill();
    const ended = (index: number): Attempt => ({ ...anAttempt(index), phase: { ...bigEnd, endedAtMs: index } });
    for (const index of [0, 1, 2]) {
      record.save(ended(index));
      await record.durable();
    }
    await record.close();
    record = await openRecord(place, () => nodeId(8), systemClock);
    expect(record.attempts).toEqual([0, 1, 2].map(ended));
    expect(record.nodeId).toBe(nodeId(7));
    // What the jobs left is gone, and so are they: the reserve is filled for the next time.
    rmSync(join(disk, 'ballast'));
    for (const index of [0, 1, 2]) record.remove(ended(index).id);
    await record.durable();
    await record.close();
    fill();
    record = await openRecord(place, () => nodeId(8), systemClock);
    record.save(ended(3));
    await record.durable();
    await record.close();
  });

  itWith('small disk')('waits for a disk that takes nothing at all, says so, and goes on by itself', async () => {
    const disk = mountSmallDisk(join(scratchFolder(), 'disk'), 24 * 2 ** 20);
    onTestFinished(() => disk.remove());
    const told: string[] = [];
    const patience = { random: systemRandom, told: (why: string) => told.push(why) };
    const record = await openRecord(join(disk.folder, 'record'), () => nodeId(7), systemClock, patience);
    const ended = (index: number): Attempt => ({ ...anAttempt(index), phase: { ...bigEnd, endedAtMs: index } });
    let written = 0;
    const writing = (async () => {
      for (let index = 0; index < 4; index++) {
        // What its own reserve gave up is taken by others, too.
        disk.fill(0);
        record.save(ended(index));
        await record.durable();
        written = index + 1;
      }
    })();
    await until('it says that it waits', () => told.length > 0);
    expect(told[0]).toMatch(/no space left/i);
    expect(written).toBeLessThan(4);
    const free = setInterval(() => disk.free(), 20);
    await writing;
    clearInterval(free);
    expect(told.at(-1)).toBe('');
    await record.close();
    const again = await openRecord(join(disk.folder, 'record'), () => nodeId(8), systemClock);
    expect(again.attempts).toEqual([0, 1, 2, 3].map(ended));
    await again.close();
  });
});

const bigEnd = {
  kind: 'ended' as const,
  startedAtMs: 1,
  outcome: { state: 'succeeded' as const, reason: '' as const, message: '', exitCode: 0, signal: undefined, ranMs: 1 },
  manifestHash: hashBytes('m'),
  inline: { manifest: new Uint8Array(0), files: [{ path: 'log', data: new Uint8Array(300_000).fill(7) }] },
};
