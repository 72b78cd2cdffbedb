import { existsSync, readFileSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { callerMetadata } from '../../base/channel/caller.ts';
import { call } from '../../base/channel/client.ts';
import { readStream } from '../../base/channel/streams.ts';
import { systemClock } from '../../base/clock.ts';
import { restoreBackup } from '../../head/backup/restore.ts';
import { AttemptPhase } from '../../proto/gen/labrun/v1/agent_link.ts';
import { type JobView, SubmitMode } from '../../proto/gen/labrun/v1/batches.ts';
import type { Fence } from '../../proto/gen/labrun/v1/common.ts';
import { aSelector, HeadWorld } from '../kit/head-world.ts';
import { LinkAgent } from '../kit/link-agent.ts';
import { scratchFolder } from '../kit/scratch-folder.ts';
import { aGroup, aMatrix, aSpec } from '../kit/spec.ts';
import { until } from '../kit/until.ts';

const metadata = callerMetadata({ kind: 'user', name: 'lab' });
const values = ['0', '1', '2'];
const spec = aSpec({ groups: [aGroup({ matrix: aMatrix({ i: values }), retries: 1 })] });
let folder = '';
let world: HeadWorld;
let agent: LinkAgent;

beforeEach(async () => {
  folder = scratchFolder();
  world = await HeadWorld.open(join(folder, 'head'));
  onTestFinished(() => world.close());
  agent = await new LinkAgent(world.head.address, 'n1', 3).connected();
  await world.submit(spec);
});

const archived = (...path: string[]) => join(folder, 'head/archive/lab', ...path);

async function assigned(count: number): Promise<(Fence | undefined)[]> {
  const fences: (Fence | undefined)[] = [];
  for (let at = 0; at < count; at++) fences.push((await agent.hear('assign')).fence);
  return fences;
}

/** The head dies, and one that was backed up before takes its place. */
async function restore(): Promise<void> {
  agent.close();
  await world.close();
  await restoreBackup(join(folder, 'copy'), join(folder, 'new'), undefined, systemClock);
  world = await HeadWorld.on(join(folder, 'new'));
}

async function jobs(batch = 'batch'): Promise<string[]> {
  const all: JobView[] = [];
  for await (const page of readStream(world.batches.jobs({ selector: aSelector({ batch }) }, metadata)))
    all.push(...page.jobs);
  return all.map(({ state, attempt, node, exitCode, pausedMs }) =>
    [state, attempt, node, exitCode ?? '-', ...(pausedMs > 0n ? [`paused ${pausedMs}`] : [])].join(' '),
  );
}

describe('a head that was restored', () => {
  it('takes the results of what ended after the backup from the archive, and none of it runs again', async () => {
    const fences = await assigned(3);
    await agent.report(fences[0], AttemptPhase.RUNNING);
    await world.backup(join(folder, 'copy')); // one runs, and all were given out
    await agent.endInline(fences[0], { 'result.txt': 'small' }, 'a log');
    for (const [at, fence] of fences.slice(1).entries()) {
      const end = await agent.stage(fence, { 'result.txt': 'x'.repeat(9_000 + at) }, 'a log', { link: 'result.txt' });
      await agent.report(fence, AttemptPhase.ENDED, { ...end, pausedMs: 7_000n });
    }
    await world.ended('batch');
    const before = await jobs();
    expect(before[1]).toBe('succeeded 1 n1 0 paused 7000');
    await restore();
    expect(await jobs()).toEqual(before);
    expect(await world.get('batch')).toMatchObject({ state: 'succeeded', counts: { succeeded: 3 } });
    const kinds = (await world.story()).map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'job-recovered')).toHaveLength(3);
    expect(kinds).toEqual(expect.arrayContaining(['archive-searched', 'batch-ended']));
    expect(await world.notices()).toEqual([expect.stringContaining('3 count, 0 do not; see "labrun events"')]);
    expect((await world.pull({ batch: 'batch' })).get('job_i-0/result.txt')).toBe('small');
    // Once is enough: the next start does not search again.
    await world.restart();
    expect((await world.story()).filter(({ kind }) => kind === 'archive-searched')).toHaveLength(1);
    expect(await jobs()).toEqual(before);
  });

  it('runs again what is not whole in the archive, and what was to be tried again, each under a new number', async () => {
    const fences = await assigned(3);
    await world.backup(join(folder, 'copy'));
    await agent.endInline(fences[0], { 'result.txt': 'will change' });
    await agent.endInline(fences[1], { 'result.txt': 'failed, and tried again' }, '', { failed: true });
    const end = await agent.stage(fences[2], { 'result.txt': 'x'.repeat(9_000) });
    await agent.report(fences[2], AttemptPhase.ENDED, end);
    const again = await agent.hear('assign');
    expect(again.fence).toMatchObject({ index: fences[1]?.index, attempt: 2 });
    await until('all is published', () => existsSync(archived('batch/job_i-2/result.txt')));
    agent.close();
    await world.close();
    writeFileSync(archived('batch/job_i-0/result.txt'), 'has changed');
    truncateSync(archived('batch/job_i-2/result.txt'), 8_999);
    await restoreBackup(join(folder, 'copy'), join(folder, 'new'), undefined, systemClock);
    world = await HeadWorld.on(join(folder, 'new'));
    expect(world.complaints.filter((text) => text.includes('is not whole: its job runs again'))).toHaveLength(2);
    expect(await world.get('batch')).toMatchObject({ counts: { succeeded: 0 } });
    agent = await new LinkAgent(world.head.address, 'n1', 3, agent.nodeId).connected();
    onTestFinished(() => agent.close());
    expect((await assigned(3)).map((fence) => fence?.attempt)).toEqual([2, 2, 2]);
  });

  it('records what ended anew after it had ended, and how its batch ended with that', async () => {
    for (const fence of await assigned(3)) await agent.endInline(fence, {}, '', { failed: true });
    for (const fence of await assigned(3)) await agent.endInline(fence, {}, '', { failed: true });
    await world.ended('batch');
    await world.backup(join(folder, 'copy'));
    const selector = aSelector({ batch: 'batch', states: ['failed'] });
    await call(world.batches, world.batches.retry, { selector }, { metadata });
    for (const fence of await assigned(3)) await agent.endInline(fence, {});
    await world.ended('batch');
    const before = await jobs();
    // A retry that comes sooner after the end is not looked for: nothing of such a batch runs by itself.
    const later = new Date(Date.now() + 3_600_000);
    utimesSync(archived('batch'), later, later);
    await restore();
    expect(await jobs()).toEqual(before);
    expect(await world.get('batch')).toMatchObject({ state: 'succeeded' });
  });

  it('believes nothing of jobs that were changed after the backup, and names batches that it does not know', async () => {
    const fences = await assigned(3);
    await world.backup(join(folder, 'copy'));
    for (const fence of fences) await agent.endInline(fence, { 'result.txt': 'x' });
    await world.ended('batch');
    const changed = aSpec({ groups: [aGroup({ matrix: aMatrix({ i: [...values, '3'] }), retries: 1 })] });
    await world.submit(changed, { mode: SubmitMode.ADD_CHANGED });
    await world.submit(aSpec({ name: 'later' }));
    await until('its folder is there', () => existsSync(archived('later/.labrun/batch.json')));
    await restore();
    expect(await world.get('batch')).toMatchObject({ state: 'queued', counts: { succeeded: 0, assigned: 3 } });
    const notices = await world.notices();
    expect(notices).toContainEqual(expect.stringContaining('jobs were added to "lab/batch", or changed'));
    expect(notices).toContainEqual(expect.stringContaining('has no memory of (lab/later): "labrun pull" fetches'));
    expect(JSON.parse(readFileSync(archived('later/.labrun/batch.json'), 'utf8'))).toMatchObject({ name: 'later' });
  });
});
