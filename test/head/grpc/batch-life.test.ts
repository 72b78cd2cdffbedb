import { appendFile, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { callerMetadata } from '../../../base/channel/caller.ts';
import { call } from '../../../base/channel/client.ts';
import { headSettingsFile } from '../../../config/head.ts';
import { AttemptPhase } from '../../../proto/gen/labrun/v1/agent_link.ts';
import { SubmitMode } from '../../../proto/gen/labrun/v1/batches.ts';
import { aSelector, HeadWorld } from '../../kit/head-world.ts';
import { LinkAgent } from '../../kit/link-agent.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { aGroup, aMatrix, aSpec } from '../../kit/spec.ts';

let world: HeadWorld;
const agents: LinkAgent[] = [];

beforeEach(async () => {
  world = await HeadWorld.open(scratchFolder());
});

afterEach(async () => {
  for (const agent of agents.splice(0)) agent.close();
  await world.close();
  expect(world.complaints).toEqual([]);
});

async function anAgent(name: string, cpus = 2): Promise<LinkAgent> {
  const agent = await new LinkAgent(world.head.address, name, cpus).connected();
  agents.push(agent);
  return agent;
}

const twoJobs = () => aSpec({ groups: [aGroup({ matrix: aMatrix({ nu: ['1e-5', '0.10'] }) })] });

describe('a batch', () => {
  it('is queued, run and kept, and can be pulled with its log', async () => {
    const agent = await anAgent('n1');
    const answer = await world.submit(twoJobs());
    expect(answer).toMatchObject({ namespace: 'lab', name: 'batch', newJobs: 2, warnings: [] });
    for (let count = 0; count < 2; count++) {
      const { fence } = await agent.hear('assign');
      await agent.report(fence, AttemptPhase.RUNNING);
      await agent.endInline(fence, { 'out/result.csv': `${fence?.index}\n` }, 'hello\n');
      await agent.hear('settle', (settled) => settled.index === fence?.index);
      await agent.report(fence, AttemptPhase.WIPED);
      await agent.hear('forget');
    }
    const summary = await world.ended('batch');
    expect(summary.state).toBe('succeeded');
    expect(summary.counts).toMatchObject({ succeeded: 2, queued: 0, running: 0 });
    const files = await world.pull({ batch: 'batch' });
    expect(files.get('job_nu-1e-5/out/result.csv')).toBe('0\n');
    expect(files.get('job_nu-0.10/.labrun/log')).toBe('hello\n');
    expect(JSON.parse(files.get('job_nu-0.10/.labrun/meta.json') ?? '')).toMatchObject({
      job: 'job_nu-0.10',
      attempt: 1,
      node: 'n1',
      params: { nu: '0.10' },
      state: 'succeeded',
      exitCode: 0,
    });
    const jobs = await readFile(join(world.archive, 'lab/batch/.labrun/jobs.jsonl'), 'utf8');
    expect(
      jobs
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).state),
    ).toEqual(['succeeded', 'succeeded']);
  });

  it('tells its story once, replayed or live', async () => {
    const agent = await anAgent('n1');
    await world.submit(aSpec());
    const { fence } = await agent.hear('assign');
    await agent.report(fence, AttemptPhase.RUNNING);
    await agent.endInline(fence, {}, '');
    await world.ended('batch');
    const story = await world.story({ batch: 'batch' });
    expect(story.map(({ kind }) => kind)).toEqual([
      'batch-submitted',
      'job-assigned',
      'job-started',
      'job-finished',
      'batch-ended',
    ]);
    expect(story[2]).toMatchObject({ namespace: 'lab', batch: 'batch', job: 'job', attempt: 1, node: 'n1' });
  });

  it('of a name that exists is refused with what differs, and the ways on', async () => {
    await world.submit(twoJobs());
    const three = (text: string) =>
      aSpec({
        groups: [
          aGroup({
            matrix: aMatrix({ nu: ['1e-5', '0.10', '0.20'] }),
            runtime: { kind: 'command', run: { kind: 'script', text } },
          }),
        ],
      });
    await expect(world.submit(three('true'))).rejects.toThrow(/1 new, 2 unchanged, 0 changed.*--add/);
    await expect(world.submit(three('false'), { mode: SubmitMode.ADD })).rejects.toThrow(
      /1 new, 0 unchanged, 2 changed: run/,
    );
    expect(await world.submit(three('true'), { mode: SubmitMode.ADD, dryRun: true })).toMatchObject({ newJobs: 1 });
    expect((await world.get('batch')).counts).toMatchObject({ queued: 2 });
    expect(await world.submit(three('true'), { mode: SubmitMode.ADD })).toMatchObject({ newJobs: 1, unchangedJobs: 2 });
    expect((await world.get('batch')).counts).toMatchObject({ queued: 3 });
  });

  it('that is replaced has its tree moved aside', async () => {
    const agent = await anAgent('n1');
    const first = await world.submit(aSpec());
    const { fence } = await agent.hear('assign');
    await agent.endInline(fence, { a: 'old' });
    await world.ended('batch');
    await world.submit(aSpec(), { mode: SubmitMode.REPLACE });
    const second = await agent.hear('assign');
    await agent.endInline(second.fence, { a: 'new' });
    await world.ended('batch');
    expect((await world.pull({ batch: 'batch' }, ['/a$'])).get('job/a')).toBe('new');
    const aside = join(world.archive, 'lab/.replaced', `batch.${first.batchId}`);
    expect(await readFile(join(aside, 'job/a'), 'utf8')).toBe('old');
    expect(await readdir(join(world.archive, '.staging'))).not.toContain(`${first.batchId}.0.1`);
  });

  it('that is cancelled gives its jobs the time between SIGTERM and SIGKILL that the settings say', async () => {
    await appendFile(headSettingsFile(world.folder), 'cancelGrace: 3s\n');
    await world.restart();
    const agent = await anAgent('n1');
    await world.submit(aSpec());
    const { fence } = await agent.hear('assign');
    await agent.report(fence, AttemptPhase.RUNNING);
    const request = { selector: aSelector({ batch: 'batch' }), dryRun: false };
    await call(world.batches, world.batches.cancel, request, {
      metadata: callerMetadata({ kind: 'user', name: 'lab' }),
    });
    expect(await agent.hear('cancel')).toEqual({ fence, graceMs: 3_000n });
    await agent.report(fence, AttemptPhase.ENDED, { ...(await agent.stage(fence, {})), outcome: cancelledOutcome });
    expect((await world.ended('batch')).counts).toMatchObject({ cancelled: 1 });
  });

  it('keeps the files of earlier attempts apart', async () => {
    const agent = await anAgent('n1');
    await world.submit(aSpec({ groups: [aGroup({ retries: 1 })] }));
    const one = await agent.hear('assign');
    const end = await agent.stage(one.fence, { a: 'first' }, 'log 1');
    await agent.report(one.fence, AttemptPhase.ENDED, { ...end, outcome: failedOutcome });
    const two = await agent.hear('assign', ({ fence }) => fence?.attempt === 2);
    await agent.endInline(two.fence, { a: 'second' }, 'log 2');
    await world.ended('batch');
    expect(await readFile(join(world.archive, 'lab/batch/job/a'), 'utf8')).toBe('second');
    expect(await readFile(join(world.archive, 'lab/batch/.labrun/attempts/job.1/a'), 'utf8')).toBe('first');
    expect(await readFile(join(world.archive, 'lab/batch/.labrun/attempts/job.1/.labrun/log'), 'utf8')).toBe('log 1');
  });
});

const cancelledOutcome = { state: 'cancelled', reason: '', message: '', signal: 15, ranMs: 5n };
const failedOutcome = { state: 'failed', reason: 'exit', message: 'exit code 3', exitCode: 3, ranMs: 5n };
