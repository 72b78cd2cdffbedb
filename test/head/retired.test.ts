import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { callerMetadata } from '../../base/channel/caller.ts';
import { call } from '../../base/channel/client.ts';
import { readStream } from '../../base/channel/streams.ts';
import { hashBytes } from '../../base/transfer/hash.ts';
import { contentPath } from '../../head/archive/blobs.ts';
import { retireAfterMs } from '../../head/scheduler/limits.ts';
import { AttemptPhase } from '../../proto/gen/labrun/v1/agent_link.ts';
import { type BatchSummary, type JobView, SubmitMode } from '../../proto/gen/labrun/v1/batches.ts';
import type { Selector } from '../../proto/gen/labrun/v1/common.ts';
import { aSelector, HeadWorld, newBatchId } from '../kit/head-world.ts';
import { laterClock } from '../kit/later-clock.ts';
import { archiveOf, endOf, LinkAgent } from '../kit/link-agent.ts';
import { scratchFolder } from '../kit/scratch-folder.ts';
import { aGroup, aMatrix, aSpec } from '../kit/spec.ts';
import { until } from '../kit/until.ts';

const metadata = callerMetadata({ kind: 'user', name: 'lab' });
const spec = aSpec({ groups: [aGroup({ matrix: aMatrix({ i: ['0', '1'] }) })] });
let folder = '';
let world: HeadWorld;

/** A batch of which one job has succeeded and one has failed. */
beforeEach(async () => {
  folder = scratchFolder();
  world = await HeadWorld.open(folder);
  onTestFinished(() => world.close());
  const agent = await new LinkAgent(world.head.address, 'n1').connected();
  await world.submit(spec);
  const [first, second] = [await agent.hear('assign'), await agent.hear('assign')];
  await agent.endInline(first.fence, { 'result.txt': 'one' }, 'a log');
  await agent.stage(second.fence, { 'result.txt': 'two' }, 'a log');
  const { manifest } = archiveOf({ 'result.txt': 'two' }, 'a log');
  await agent.report(second.fence, AttemptPhase.ENDED, { ...endOf(manifest, true), pausedMs: 7_000n });
  await world.ended('batch');
  agent.close();
});

const own = (...path: string[]) => join(world.archive, 'lab/batch/.labrun', ...path);
const isRetired = async () => (await world.story()).some(({ kind }) => kind === 'batch-retired');

/** The head as it is when the batch ended over 30 days ago. */
async function later(): Promise<void> {
  await world.close();
  // By then all has long been published: nothing is made anew.
  writeFileSync(join(world.archive, '.staging/published'), '1000000\n');
  world = await HeadWorld.on(folder, false, laterClock(retireAfterMs + 60_000));
}

/** Retired; and the head is one of today again, whose timers take their time. */
async function retired(batches = 1): Promise<void> {
  await later();
  await until('all is retired', async () => {
    const told = (await world.story()).filter(({ kind }) => kind === 'batch-retired');
    return told.length === batches;
  });
  await world.close();
  world = await HeadWorld.on(folder);
}

async function jobs(over: Partial<Selector> = {}): Promise<JobView[]> {
  const all: JobView[] = [];
  const stream = world.batches.jobs({ selector: aSelector({ batch: 'batch', ...over }) }, metadata);
  for await (const page of readStream(stream)) all.push(...page.jobs);
  return all;
}

/** What people are shown of a batch and its jobs. */
async function shown(): Promise<{ summary: BatchSummary; jobs: JobView[]; files: [string, string][]; log: string }> {
  const follow = { follow: false, buildNode: '', offset: 0n, attempt: 0 };
  let log = '';
  const selector = aSelector({ batch: 'batch', job: 'job_i-1' });
  for await (const { data } of readStream(world.files.log({ ...follow, selector }, metadata))) log += data.toString();
  return {
    summary: await world.get('batch'),
    jobs: await jobs(),
    files: [...(await world.pull({ batch: 'batch' }))].filter(([path]) => path.endsWith('result.txt')),
    log,
  };
}

describe('a batch that ended over 30 days ago', () => {
  it('is shown as before, from its archive, also after the next start and from a snapshot', async () => {
    const before = await shown();
    expect(before).toMatchObject({
      summary: { state: 'failed', failures: [{ reason: 'exit', exampleJob: 'job_i-1' }] },
      jobs: [{ pausedMs: 0n }, { pausedMs: 7_000n }],
      files: [
        ['job_i-0/result.txt', 'one'],
        ['job_i-1/result.txt', 'two'],
      ],
      log: 'a log',
    });
    await retired();
    expect(await shown()).toEqual(before);
    expect((await jobs({ states: ['failed'] })).map(({ name }) => name)).toEqual(['job_i-1']);
    expect((await jobs({ job: 'job_i-0' })).map(({ state }) => state)).toEqual(['succeeded']);
    const { batches } = await call(
      world.batches,
      world.batches.list,
      { selector: aSelector(), all: true, pageToken: '' },
      { metadata },
    );
    expect(batches).toMatchObject([{ name: 'batch', state: 'failed', counts: { succeeded: 1, failed: 1 } }]);
    expect(await world.why('batch', 'job_i-0')).toMatch(/^The batch failed on 20.*kept in the archive alone$/);
    // As if the power had gone: its records are all published once more, and find nothing to do.
    await world.close();
    rmSync(join(world.archive, '.staging/published'), { force: true });
    world = await HeadWorld.on(folder);
    expect(await shown()).toEqual(before);
    expect(world.complaints).toEqual([]);
  });

  it('needs its inputs no longer, while one that has not ended does', async () => {
    const inputs = ['of one that ends', 'of one that waits'].map((text) => Buffer.from(text));
    await world.put('lab', ...inputs);
    for (const [at, name] of ['ends', 'waits'].entries()) {
      const data = inputs[at] ?? Buffer.alloc(0);
      const entry = { kind: 'file' as const, path: '', hash: hashBytes(data), sizeBytes: data.length, mode: 0o644 };
      await world.submit(aSpec({ name, sources: { data: [entry] } }));
    }
    await call(world.batches, world.batches.cancel, { selector: aSelector({ batch: 'ends' }) }, { metadata });
    await world.ended('ends');
    await later();
    const there = () => inputs.map((data) => existsSync(contentPath(join(folder, 'blobs'), hashBytes(data))));
    await until('the input of the one is gone', () => there()[0] === false);
    expect(there()).toEqual([false, true]);
    expect(await world.get('ends')).toMatchObject({ state: 'cancelled' });
  });

  it('is not run again: that is refused with what to do, and a new one takes its name', async () => {
    await retired();
    const again = { selector: aSelector({ batch: 'batch', states: ['failed'] }) };
    await expect(call(world.batches, world.batches.retry, again, { metadata })).rejects.toThrow(
      'Cannot retry jobs of "lab/batch": it ended over 30 days ago and is kept in the archive alone; submit it again',
    );
    for (const mode of [SubmitMode.NEW, SubmitMode.ADD, SubmitMode.ADD_CHANGED])
      await expect(world.submit(spec, { mode })).rejects.toThrow('use --name for another name, or --replace');
    await world.submit(spec, { mode: SubmitMode.REPLACE });
    await until('its tree is set aside', () => existsSync(join(world.archive, 'lab/.replaced')));
    expect(await world.get('batch')).toMatchObject({ state: 'queued', counts: { queued: 2 } });
  });

  it('takes a submission that is repeated as the same, and cancels nothing', async () => {
    const id = newBatchId();
    await world.submit(aSpec({ name: 'other' }), { id });
    await call(world.batches, world.batches.cancel, { selector: aSelector({ batch: 'other' }) }, { metadata });
    await world.ended('other');
    await retired(2);
    expect(await world.submit(aSpec({ name: 'other' }), { id })).toMatchObject({ batchId: id });
    const cancel = { selector: aSelector({ batch: 'other' }) };
    expect(await call(world.batches, world.batches.cancel, cancel, { metadata })).toMatchObject({ changed: 0 });
  });

  it('is deleted like any other, and what became of its jobs stays', async () => {
    await retired();
    const answer = await call(
      world.batches,
      world.batches.delete,
      { selector: aSelector({ batch: 'batch' }) },
      { metadata },
    );
    expect(answer.deleted).toBe(true);
    expect(existsSync(own('deleted.json'))).toBe(true);
    await expect(world.pull({ batch: 'batch' })).rejects.toThrow('"lab" deleted it on');
    expect((await jobs()).map(({ state }) => state)).toEqual(['succeeded', 'failed']);
    expect(await world.get('batch')).toMatchObject({ deletedBy: 'lab' });
    await world.restart();
    expect(await world.get('batch')).toMatchObject({ deletedBy: 'lab' });
  });

  it('is retired when it had been deleted before, too', async () => {
    await call(world.batches, world.batches.delete, { selector: aSelector({ batch: 'batch' }) }, { metadata });
    await retired();
    expect((await jobs()).map(({ state }) => state)).toEqual(['succeeded', 'failed']);
  });

  it('stays in memory while its archive cannot be written, which is said once, and goes when it can', async () => {
    // A file where a folder has to be: root is stopped by no mode.
    renameSync(own(), own('../../aside'));
    writeFileSync(own(), '');
    writeFileSync(join(world.archive, 'lab/.replaced'), '');
    await later();
    await until('it is said', async () =>
      (await world.notices()).some((text) => text.includes('which ended long ago, cannot be written into its archive')),
    );
    expect(await isRetired()).toBe(false);
    expect((await jobs()).length).toBe(2);
    rmSync(own());
    renameSync(own('../../aside'), own());
    await until('the batch is retired', isRetired);
    expect((await world.notices()).filter((text) => text.includes('long ago'))).toEqual([]);
    expect(world.complaints.filter((text) => text.includes('long ago'))).toHaveLength(1);
  });

  it('leaves what became of its jobs aside where somebody had removed its folder', async () => {
    rmSync(join(world.archive, 'lab/batch'), { recursive: true });
    await retired();
    expect((await jobs()).map(({ name }) => name)).toEqual(['job_i-0', 'job_i-1']);
    const { batchId } = await world.get('batch');
    const aside = join(world.archive, `lab/.replaced/batch.${batchId}/.labrun`);
    expect(readFileSync(join(aside, 'batch.json'), 'utf8')).toContain(batchId);
  });
});
