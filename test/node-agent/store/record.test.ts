import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { asNodeId, type NodeId, ulid } from '../../../base/ids.ts';
import { hashBytes } from '../../../base/transfer/hash.ts';
import type { Phase } from '../../../node-agent/attempts/attempt.ts';
import { openRecord } from '../../../node-agent/store/record.ts';
import { aFence, anAttempt } from '../../kit/attempts.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'labrun-record-'));
});
afterEach(() => rm(folder, { recursive: true }));

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
});
