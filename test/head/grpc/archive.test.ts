import { mkdir, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { callerMetadata } from '../../../base/channel/caller.ts';
import { readStream } from '../../../base/channel/streams.ts';
import { hashBytes } from '../../../base/transfer/hash.ts';
import { AttemptPhase } from '../../../proto/gen/labrun/v1/agent_link.ts';
import type { ArchiveChunk } from '../../../proto/gen/labrun/v1/archive.ts';
import type { Fence } from '../../../proto/gen/labrun/v1/common.ts';
import { aSelector, HeadWorld } from '../../kit/head-world.ts';
import { LinkAgent } from '../../kit/link-agent.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { aSpec } from '../../kit/spec.ts';
import { until } from '../../kit/until.ts';

let world: HeadWorld;
let agent: LinkAgent;
let fence: Fence;
const metadata = callerMetadata({ kind: 'user', name: 'lab' });

beforeEach(async () => {
  world = await HeadWorld.open(scratchFolder());
  agent = await new LinkAgent(world.head.address, 'n1').connected();
  await world.submit(aSpec());
  fence = (await agent.hear('assign')).fence as Fence; // the head always names one
  await agent.report(fence, AttemptPhase.RUNNING);
});

afterEach(async () => {
  agent.close();
  await world.close();
  expect(world.complaints).toEqual([]);
});

const piece = (
  path: string,
  offset: number,
  text: string,
  over: Partial<ArchiveChunk> = {},
): Partial<ArchiveChunk> => ({
  target: { $case: 'attempt', value: fence },
  path,
  offset: BigInt(offset),
  data: Buffer.from(text),
  ...over,
});

describe('an attempt’s files', () => {
  it('go on where they were, also after the head was restarted, and are verified whole', async () => {
    await agent.send([piece('archive/a', 0, 'hello ', { truncate: true })]);
    agent.close();
    await world.restart();
    agent = await new LinkAgent(world.head.address, 'n1', 2, agent.nodeId, [fence]).connected();
    const [answer] = await agent.send([piece('archive/a', 6, 'world', { finalHash: hashBytes('hello world') })]);
    expect(answer).toMatchObject({ offset: 11n, verified: true, refusedCode: '' });
  });

  it('are told where to go on when a piece does not fit, and dropped when the hash is wrong', async () => {
    const [first, ahead, wrong] = await agent.send([
      piece('archive/a', 0, '12345', { truncate: true }),
      piece('archive/a', 9, 'x'),
      piece('archive/a', 5, '6', { finalHash: hashBytes('other') }),
    ]);
    expect([first?.offset, ahead?.offset, wrong?.offset]).toEqual([5n, 5n, 0n]);
    expect(wrong?.verified).toBe(false);
  });

  it('are refused from another node, of another attempt, and outside their folder', async () => {
    const other = await new LinkAgent(world.head.address, 'n2').connected();
    const [stranger] = await other.send([piece('archive/a', 0, 'x')]);
    const paths = ['archive/../../x', '/etc/passwd', 'archive/.labrun/log', 'secret'];
    const answers = await agent.send(paths.map((path) => piece(path, 0, 'x', { truncate: true })));
    const [stale] = await agent.send([
      piece('archive/a', 0, 'x', { target: { $case: 'attempt', value: { ...fence, attempt: 7 } } }),
    ]);
    other.close();
    expect([stranger?.refusedCode, stale?.refusedCode]).toEqual(['stale', 'stale']);
    expect(answers.map(({ refusedCode }) => refusedCode)).toEqual(paths.map(() => 'invalid'));
  });

  it('that do not match their manifest are asked for again, and nothing is accepted before', async () => {
    const end = await agent.stage(fence, { a: 'right', b: 'kept' }, 'log');
    await agent.send([piece('archive/a', 0, 'wrong', { truncate: true, finalHash: hashBytes('wrong') })]);
    await agent.report(fence, AttemptPhase.ENDED, end);
    expect((await agent.hear('resend')).paths).toEqual(['archive/a']);
    expect((await world.get('batch')).endedAtMs).toBeUndefined();
    await agent.send([piece('archive/a', 0, 'right', { truncate: true, finalHash: hashBytes('right') })]);
    await agent.report(fence, AttemptPhase.ENDED, end);
    await agent.hear('settle');
    await world.ended('batch');
    expect(Object.fromEntries(await world.pull({ batch: 'batch' }, ['/[ab]$']))).toEqual({
      'job/a': 'right',
      'job/b': 'kept',
    });
  });

  it('keep their links, which nobody follows; what the job deleted again does not appear', async () => {
    await agent.send([piece('archive/gone', 0, 'x', { truncate: true, finalHash: hashBytes('x') })]);
    const end = await agent.stage(fence, { 'out/a': '1' }, '', { escape: '/etc' });
    await agent.report(fence, AttemptPhase.ENDED, end);
    await world.ended('batch');
    expect(await readlink(join(world.archive, 'lab/batch/job/escape'))).toBe('/etc');
    const files = await world.pull({ batch: 'batch' }, ['^batch/job/'], ['\\.labrun']);
    expect([...files.keys()]).toEqual(['job/out/a']);
    const stream = world.files.read(metadata);
    const { batchId } = await world.get('batch');
    stream.write({ batchId, files: [{ job: 'job', path: 'escape/passwd', offset: 0n }] });
    stream.end();
    await expect(readStream(stream).next()).rejects.toThrow(/no such file/);
  });

  it('appear once, complete, when the head is restarted right after their acceptance', async () => {
    const end = await agent.stage(fence, { a: 'x' }, 'log');
    await agent.report(fence, AttemptPhase.ENDED, end);
    await agent.hear('settle');
    await world.restart();
    await world.ended('batch');
    expect((await world.pull({ batch: 'batch' })).get('job/a')).toBe('x');
  });

  it('are kept once, however often their end is told, by whichever connection, before and after a restart', async () => {
    const text = 'x'.repeat(5_000);
    const end = await agent.stage(fence, { a: text }, 'log');
    const last = piece('archive/a', 0, text, { truncate: true, finalHash: hashBytes(text) });
    expect(await agent.send([last, last])).toMatchObject([
      { offset: 5_000n, verified: true, refusedCode: '' },
      { offset: 5_000n, verified: true, refusedCode: '' },
    ]);
    await Promise.all([1, 2, 3].map(() => agent.report(fence, AttemptPhase.ENDED, end)));
    await agent.hear('settle');
    await world.ended('batch');
    const kept = await world.pull({ batch: 'batch' });
    for (const restart of [async () => {}, () => world.restart()]) {
      agent.close();
      await restart();
      agent = await new LinkAgent(world.head.address, 'n1', 2, agent.nodeId).connected();
      // What has been accepted is refused as a transfer, and settled as an end.
      expect((await agent.send([last]))[0]?.refusedCode).toBe('stale');
      await agent.report(fence, AttemptPhase.ENDED, end);
      await agent.hear('settle');
    }
    expect(await world.pull({ batch: 'batch' })).toEqual(kept);
    const ends = (await world.story({ batch: 'batch' })).filter(({ kind }) => kind === 'job-finished');
    expect(ends).toHaveLength(1);
    expect((await readdir(join(world.archive, '.staging'))).filter((name) => name.includes(fence.batchId))).toEqual([]);
  });

  it('wait to be answered while nobody reads the answers, without a warning', async () => {
    const warnings: string[] = [];
    const warned = (warning: Error) => void warnings.push(warning.message);
    process.on('warning', warned);
    onTestFinished(() => void process.off('warning', warned));
    const pieces = Array.from({ length: 4_000 }, (_, at) =>
      piece(`archive/${at % 40}/${at}-${'n'.repeat(200)}`, 0, 'x', { truncate: true, finalHash: hashBytes('x') }),
    );
    const staged = async () => (await readdir(join(world.archive, '.staging'), { recursive: true })).length;
    // More than are worked on at once, so that answers wait behind those that nobody reads.
    const manyAreHere = until('pieces arrive', async () => (await staged()) > 500);
    expect((await agent.send(pieces, manyAreHere)).every(({ verified }) => verified)).toBe(true);
    expect(warnings).toEqual([]);
  });

  it('can be followed as a log while the job runs, until it has ended', async () => {
    const log = world.files.log(
      { selector: aSelector({ batch: 'batch', job: 'job' }), follow: true, buildNode: '', offset: 0n, attempt: 0 },
      metadata,
    );
    const lines: string[] = [];
    const reading = (async () => {
      for await (const { data } of readStream(log)) {
        if (data.length > 0) lines.push(data.toString());
        if (lines.length === 1) await agent.send([piece('log', 4, 'two\n')]);
        if (lines.length === 2) {
          await agent.report(fence, AttemptPhase.ENDED, await agent.stage(fence, {}, 'one\ntwo\nthree\n'));
        }
      }
    })();
    await agent.send([piece('log', 0, 'one\n', { truncate: true })]);
    await reading;
    expect(lines.join('')).toBe('one\ntwo\nthree\n');
  });
});

describe('the archive’s directory', () => {
  it('is never merged with what labrun did not write, which can be pulled all the same', async () => {
    const folder = join(world.archive, 'lab/old/case');
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'data'), 'by hand');
    await expect(world.submit(aSpec({ name: 'old' }))).rejects.toThrow(/labrun did not write/);
    await expect(world.submit(aSpec({ name: 'OLD' }))).rejects.toThrow(/by case only/);
    expect(Object.fromEntries(await world.pull({ batch: 'old' }))).toEqual({ 'case/data': 'by hand' });
    expect(await readFile(join(folder, 'data'), 'utf8')).toBe('by hand');
  });

  it('refuses patterns that are none', async () => {
    await expect(world.pull({ batch: 'batch' }, ['('])).rejects.toThrow(/include pattern "\("/);
    await expect(world.pull({ batch: 'batch' }, [], ['(a+)+'])).rejects.toThrow(/repetition/);
  });
});
