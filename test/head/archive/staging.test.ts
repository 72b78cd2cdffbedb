import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { assert } from '../../../base/assert.ts';
import { asBatchId, asClusterId, asNodeId, attemptId, type Fence, type NodeId } from '../../../base/ids.ts';
import { ArchiveLayout } from '../../../head/archive/layout.ts';
import { StageWriter } from '../../../head/archive/stage-writer.ts';
import { type LiveFacts, Staging } from '../../../head/archive/staging.ts';
import { StagingUsage } from '../../../head/archive/staging-usage.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

const [own, other] = ['01J00000000000000000000001', '01J00000000000000000000002'].map(asNodeId);
const [batchId, clusterId] = [asBatchId('01J00000000000000000000003'), asClusterId('01J00000000000000000000004')];
assert(own && other && batchId && clusterId, 'these are ids');
const fence: Fence = { batchId, clusterId, index: 0, attempt: 1 };
let live: LiveFacts | undefined;
let staging: Staging;

const files = new StageWriter();
afterAll(() => files.close());

beforeEach(async () => {
  live = { nodeId: own as NodeId, isEnding: false }; // asserted above
  const layout = new ArchiveLayout(scratchFolder());
  const usage = new StagingUsage(() => Number.POSITIVE_INFINITY);
  staging = new Staging({ layout, usage, files, factsOf: async () => live, namespaceOf: async () => 'lab' });
  await staging.start();
});

describe('an attempt’s staging', () => {
  it('is left alone when another node asks for it', async () => {
    const before = await staging.forNode(fence, own);
    await expect(staging.forNode(fence, other)).rejects.toThrow("it is not this node's any more");
    expect(await staging.forNode(fence, own)).toBe(before);
    expect(before.closed).toBe(false);
  });

  it('is not opened to check its end when it is over: it may be on its way into the tree', async () => {
    const before = await staging.forNode(fence, own);
    expect(await staging.openLive(fence)).toBe(before);
    live = undefined;
    expect(await staging.openLive(fence)).toBeUndefined();
    expect(before.closed).toBe(false);
  });

  it('is closed with all its files when somebody asks after it is over', async () => {
    const before = await staging.forNode(fence, own);
    await before.take('log', { offset: 0, data: Buffer.from('x'), truncate: true, finalHash: undefined });
    live = undefined;
    await expect(staging.forNode(fence, own)).rejects.toThrow("it is not this node's any more");
    expect(before.closed).toBe(true);
    expect(await staging.open(attemptId(fence, 1))).not.toBe(before);
    await staging.close();
  });
});
