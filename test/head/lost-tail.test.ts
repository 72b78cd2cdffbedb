import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { openDatabase } from '../../head/store/database.ts';
import { numberIn, recordKey, snapshotKey } from '../../head/store/keys.ts';
import { AttemptPhase } from '../../proto/gen/labrun/v1/agent_link.ts';
import type { Fence } from '../../proto/gen/labrun/v1/common.ts';
import { HeadWorld } from '../kit/head-world.ts';
import { LinkAgent } from '../kit/link-agent.ts';
import { scratchFolder } from '../kit/scratch-folder.ts';
import { aSpec } from '../kit/spec.ts';
import { until } from '../kit/until.ts';

/** Loses every record after `seq`, as a disk does that said it had written; with its mark the head cannot notice. */
async function loseTail(folder: string, seq: number, mark: 'with its mark' | 'but not its mark'): Promise<void> {
  const database = await openDatabase(join(folder, 'log'));
  await database.clear({ gt: recordKey(seq), lt: recordKey(Number.MAX_SAFE_INTEGER) });
  await database.clear({ gt: snapshotKey(seq), lt: snapshotKey(Number.MAX_SAFE_INTEGER) });
  await database.close();
  if (mark === 'with its mark') rmSync(join(folder, 'high-water'));
}

async function lastSeq(folder: string): Promise<number> {
  const database = await openDatabase(join(folder, 'log'));
  const keys = await database.keys({ gte: recordKey(0), lt: recordKey(Number.MAX_SAFE_INTEGER), reverse: true }).all();
  await database.close();
  return keys[0] ? numberIn(keys[0]) : 0;
}

/** A head that has given one job out, and what its agent holds; then it loses that it did. */
async function aLoss(mark: Parameters<typeof loseTail>[2]) {
  const folder = scratchFolder();
  const world = await HeadWorld.open(folder);
  await world.submit(aSpec());
  await world.close();
  const seq = await lastSeq(folder);
  const before = await HeadWorld.on(folder);
  const agent = await new LinkAgent(before.head.address, 'n1').connected();
  const { fence } = await agent.hear('assign');
  await agent.report(fence, AttemptPhase.RUNNING);
  agent.close();
  await before.close();
  await loseTail(folder, seq, mark);
  return { folder, fence, nodeId: agent.nodeId };
}

async function comesBack(world: HeadWorld, fence: Fence | undefined, nodeId: LinkAgent['nodeId']): Promise<LinkAgent> {
  const running = fence ? [fence] : [];
  const agent = await new LinkAgent(world.head.address, 'n1', 2, nodeId, running).connected();
  onTestFinished(() => agent.close());
  return agent;
}

it('notices by what agents report that its log has lost its end, says so, and uses no number twice', async () => {
  const { folder, fence, nodeId } = await aLoss('with its mark');
  const world = await HeadWorld.on(folder);
  onTestFinished(() => world.close());
  const agent = await comesBack(world, fence, nodeId);
  const { fence: next } = await agent.hear('assign');
  expect([fence?.attempt, next?.attempt]).toEqual([1, 2]);
  await agent.hear('discard', ({ attempt }) => attempt === 1);
  expect(world.complaints.join()).toContain('the log has lost its end');
  expect(await world.notices()).toEqual([expect.stringContaining('"n1" knows of 1 attempts')]);
});

it('lets what ran go on after --accept-loss, and takes its result', async () => {
  const { folder, fence, nodeId } = await aLoss('but not its mark');
  await expect(HeadWorld.on(folder)).rejects.toThrow('--accept-loss');
  const world = await HeadWorld.on(folder, true);
  onTestFinished(() => world.close());
  const agent = await comesBack(world, fence, nodeId);
  await agent.endInline(fence, { 'result.txt': 'ran once' });
  expect(await world.ended('batch')).toMatchObject({ state: 'succeeded' });
  expect(readFileSync(join(world.archive, 'lab/batch/job/result.txt'), 'utf8')).toBe('ran once');
  expect((await world.story()).map(({ kind }) => kind)).toEqual(expect.arrayContaining(['log-shortened', 'job-found']));
});

it('tells a node to discard what it holds of a lost end when the job ends elsewhere', async () => {
  const { folder, fence, nodeId } = await aLoss('with its mark');
  const world = await HeadWorld.on(folder);
  onTestFinished(() => world.close());
  const other = await new LinkAgent(world.head.address, 'n2').connected();
  onTestFinished(() => other.close());
  const assigned = await other.hear('assign');
  const agent = await comesBack(world, fence && { ...fence, attempt: 5 }, nodeId);
  await until('the head has noted what the node holds', () => world.complaints.length > 0);
  await other.endInline(assigned.fence, { 'result.txt': 'from the other' });
  await agent.hear('discard', ({ attempt }) => attempt === 5);
});

it('takes what had ended in the lost end from the archive, and runs none of it again', async () => {
  const folder = scratchFolder();
  const world = await HeadWorld.open(folder);
  await world.submit(aSpec());
  await world.close();
  const seq = await lastSeq(folder);
  const before = await HeadWorld.on(folder);
  const agent = await new LinkAgent(before.head.address, 'n1').connected();
  await agent.endInline((await agent.hear('assign')).fence, { 'result.txt': 'ran once' });
  await before.ended('batch');
  agent.close();
  await before.close();
  await loseTail(folder, seq, 'but not its mark');
  const again = await HeadWorld.on(folder, true);
  onTestFinished(() => again.close());
  expect(await again.get('batch')).toMatchObject({ state: 'succeeded' });
  const kinds = (await again.story()).map(({ kind }) => kind);
  expect(kinds).toEqual(expect.arrayContaining(['job-recovered', 'archive-searched', 'batch-ended']));
});

it('publishes what follows on a lost end, though the archive had come further', async () => {
  const folder = scratchFolder();
  const world = await HeadWorld.open(folder);
  await world.close();
  const seq = await lastSeq(folder);
  await loseTail(folder, seq, 'with its mark');
  writeFileSync(join(folder, 'archive/.staging/published'), `${seq + 1_000}\n`);
  const again = await HeadWorld.on(folder);
  onTestFinished(() => again.close());
  expect(Number(readFileSync(join(folder, 'archive/.staging/published'), 'utf8'))).toBeLessThanOrEqual(seq);
});

it('keeps a result of the lost end beside the one that got its number anew', async () => {
  const { folder } = await aLoss('but not its mark');
  const own = join(folder, 'archive/lab/batch/job/.labrun');
  const world = await HeadWorld.on(folder, true);
  onTestFinished(() => world.close());
  lay(own, { 'meta.json': `{\n  "attempt": 1,\n  "manifestHash": "blake3:${'a'.repeat(64)}"\n}\n` });
  // The node that had it has lost its disk: nobody tells of the number.
  const other = await new LinkAgent(world.head.address, 'n2').connected();
  onTestFinished(() => other.close());
  const assigned = await other.hear('assign');
  expect(assigned.fence?.attempt).toBe(1);
  await other.endInline(assigned.fence, { 'result.txt': 'the second' });
  await world.ended('batch');
  expect(readFileSync(join(folder, 'archive/lab/batch/job/result.txt'), 'utf8')).toBe('the second');
  expect(readdirSync(join(folder, 'archive/lab/batch/.labrun/attempts'))).toEqual([`job.1.${'a'.repeat(12)}`]);
});

it('shows the result that the log knows in place of one of the lost end with a higher number', async () => {
  const { folder } = await aLoss('but not its mark');
  const world = await HeadWorld.on(folder, true);
  onTestFinished(() => world.close());
  const meta = { 'meta.json': `{\n  "attempt": 3,\n  "manifestHash": "blake3:${'b'.repeat(64)}"\n}\n` };
  lay(join(folder, 'archive/lab/batch/job/.labrun'), meta);
  const other = await new LinkAgent(world.head.address, 'n2').connected();
  onTestFinished(() => other.close());
  const assigned = await other.hear('assign');
  expect(assigned.fence?.attempt).toBe(1);
  await other.endInline(assigned.fence, { 'result.txt': 'the first that is known' });
  await world.ended('batch');
  expect(readFileSync(join(folder, 'archive/lab/batch/job/result.txt'), 'utf8')).toBe('the first that is known');
  expect(readdirSync(join(folder, 'archive/lab/batch/.labrun/attempts'))).toEqual([`job.3.${'b'.repeat(12)}`]);
});

function lay(folder: string, files: Readonly<Record<string, string>>): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
}

it('keeps staged files of an attempt that it does not know, and says where', async () => {
  const { folder } = await aLoss('but not its mark');
  const strange = join(folder, 'archive/.staging/01BX5ZZKBKACTAV9WEVGEMMVRZ.0.1');
  lay(strange, { manifest: '' });
  const again = await HeadWorld.on(folder, true);
  await until('the head has looked at what is staged', () => again.complaints.length > 1);
  await again.close();
  expect(readdirSync(strange)).toEqual(['manifest']);
  expect(again.complaints.join()).toContain('attempts that this head has no memory of left files');
});
