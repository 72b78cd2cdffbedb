import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { hashBytes } from '../../base/transfer/hash.ts';
import { AttemptPhase } from '../../proto/gen/labrun/v1/agent_link.ts';
import type { ArchiveChunk } from '../../proto/gen/labrun/v1/archive.ts';
import type { Fence } from '../../proto/gen/labrun/v1/common.ts';
import { HeadWorld } from '../kit/head-world.ts';
import { LinkAgent } from '../kit/link-agent.ts';
import { scratchFolder } from '../kit/scratch-folder.ts';
import { aGroup, aMatrix, aSpec } from '../kit/spec.ts';
import { until } from '../kit/until.ts';

let world: HeadWorld;
let agent: LinkAgent;

async function open(settings: string): Promise<void> {
  world = await HeadWorld.open(scratchFolder(), settings);
  agent = await new LinkAgent(world.head.address, 'n1').connected();
}
afterEach(async () => {
  agent.close();
  await world.close();
});

const threeJobs = (over: object = {}) =>
  aSpec({ maxRunning: 1, groups: [aGroup({ matrix: aMatrix({ i: ['1', '2', '3'] }) })], ...over });
const big = 'x'.repeat(1_100_000);

describe('a namespace that has used up its quota in the archive', () => {
  it('keeps what its running jobs bring, starts no more, says so, and goes on when there is room', async () => {
    await open('quotas: {lab: {archive: 1M}}\n');
    await world.submit(threeJobs());
    const fence = (await agent.hear('assign')).fence as Fence; // the head always names one
    await agent.report(fence, AttemptPhase.RUNNING);
    await agent.report(fence, AttemptPhase.ENDED, await agent.stage(fence, { out: big }, 'log'));
    await agent.hear('settle');
    expect((await world.pull({ batch: 'batch' }, ['/out$'])).size).toBe(1);
    const full = 'the namespace "lab" has used 1.1 MiB of its 1.0 MiB in the archive';
    await until('it is called full', async () => (await world.why('batch', 'job_i-3')).includes(full));
    await agent.report(fence, AttemptPhase.WIPED);
    // The next was on its node before the archive had been counted: it runs to its end, too.
    const second = (await agent.hear('assign')).fence;
    await agent.endInline(second, { out: 'small' });
    await agent.hear('settle');
    await agent.report(second, AttemptPhase.WIPED);
    await expect(world.submit(threeJobs({ name: 'another' }))).rejects.toThrow(`Cannot submit "lab/another": ${full}`);
    expect((await world.get('batch')).counts).toMatchObject({ queued: 1, succeeded: 2 });
    // It stays so over a restart, until files are removed.
    agent.close();
    await world.restart();
    agent = await new LinkAgent(world.head.address, 'n1', 2, agent.nodeId).connected();
    await until('it is still full', async () => (await world.why('batch', 'job_i-3')).includes(full));
    await rm(join(world.archive, 'lab/batch/job_i-1/out'));
    agent.close();
    await world.restart();
    agent = await new LinkAgent(world.head.address, 'n1', 2, agent.nodeId).connected();
    expect((await agent.hear('assign')).fence?.index).toBe(2);
  });

  it('is warned of when nine tenths are used', async () => {
    await open('quotas: {lab: {archive: 1M, inputs: 1M}}\n');
    await world.submit(aSpec());
    const fence = (await agent.hear('assign')).fence as Fence; // the head always names one
    await agent.report(fence, AttemptPhase.RUNNING);
    await agent.report(fence, AttemptPhase.ENDED, await agent.stage(fence, { out: big.slice(0, 1_000_000) }, ''));
    await world.ended('batch');
    await world.put('lab', Buffer.from(big.slice(0, 1_000_000)));
    const { warnings } = await world.submit(threeJobs({ name: 'another' }));
    expect(warnings).toEqual([
      expect.stringMatching(/^the namespace "lab" has used 9\d\d(\.\d)? KiB of its 1.0 MiB in the archive$/),
      expect.stringMatching(/^the namespace "lab" has used 9\d\d(\.\d)? KiB of its 1.0 MiB of input files$/),
    ]);
    await expect(world.put('lab', Buffer.alloc(100_000, 1))).rejects.toThrow('Cannot take 97.7 KiB of input files');
  });
});

describe('files of running jobs beyond their quota', () => {
  it('wait until their job has ended, and then come whole', async () => {
    await open('quotas: {default: {staging: 1M}}\n');
    await world.submit(aSpec());
    const fence = (await agent.hear('assign')).fence as Fence; // the head always names one
    await agent.report(fence, AttemptPhase.RUNNING);
    const piece = (path: string, text: string): Partial<ArchiveChunk> => ({
      target: { $case: 'attempt', value: fence },
      path,
      data: Buffer.from(text),
      truncate: true,
      finalHash: hashBytes(text),
    });
    const [first] = await agent.send([piece('archive/a', big)]);
    expect(first).toMatchObject({ verified: true });
    const [late, log] = await agent.send([piece('archive/b', 'more'), piece('log', 'what it prints')]);
    expect(late).toMatchObject({
      refusedCode: 'busy',
      refusedMessage: expect.stringContaining('they come when it has ended'),
    });
    expect(log).toMatchObject({ verified: true });
    await agent.report(fence, AttemptPhase.ARCHIVING);
    const end = await agent.stage(fence, { a: big, b: 'more' }, 'what it prints');
    await agent.report(fence, AttemptPhase.ENDED, end);
    await world.ended('batch');
    expect((await world.pull({ batch: 'batch' }, ['/b$'])).get('job/b')).toBe('more');
    // What has become part of the archive makes room for others.
    await world.submit(aSpec({ name: 'next' }));
    const next = (await agent.hear('assign')).fence as Fence;
    await agent.report(next, AttemptPhase.RUNNING);
    const [taken] = await agent.send([{ ...piece('archive/a', 'x'), target: { $case: 'attempt', value: next } }]);
    expect(taken).toMatchObject({ verified: true });
  });
});
