import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { hashBytes } from '../../../base/transfer/hash.ts';
import { SubmitMode } from '../../../proto/gen/labrun/v1/batches.ts';
import type { Fence } from '../../../proto/gen/labrun/v1/common.ts';
import { HeadWorld } from '../../kit/head-world.ts';
import { LinkAgent } from '../../kit/link-agent.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { aSpec } from '../../kit/spec.ts';

it('the log of a build arrives also when a batch that was replaced had a longer one on the same node', async () => {
  const world = await HeadWorld.open(scratchFolder());
  onTestFinished(() => world.close());
  const agent = await new LinkAgent(world.head.address, 'n1').connected();
  onTestFinished(() => agent.close());
  const build = (text: string) => aSpec({ sources: {}, env: { TEXT: text } });
  const send = async (fence: Fence | undefined, text: string) => {
    const chunk = { target: { $case: 'build' as const, value: { batchId: fence?.batchId ?? '' } }, path: '' };
    const bytes = Buffer.from(text);
    const half = Math.floor(bytes.length / 2);
    const answers = await agent.send([
      { ...chunk, offset: 0n, data: bytes.subarray(0, half), truncate: true },
      { ...chunk, offset: BigInt(half), data: bytes.subarray(half), finalHash: hashBytes(bytes) },
    ]);
    expect(answers.map(({ refusedMessage }) => refusedMessage)).toEqual(['', '']);
    expect(answers.at(-1)?.verified).toBe(true);
  };
  await world.submit(build('one'));
  const first = await agent.hear('assign');
  await send(first.fence, 'the log of the first build');
  await agent.endInline(first.fence, {});
  await world.ended('batch');
  await world.submit(build('two'), { mode: SubmitMode.REPLACE });
  const second = await agent.hear('assign');
  await send(second.fence, 'the second');
  const log = (place: string) => readFileSync(join(world.archive, 'lab', place, '.labrun/build-n1.log'), 'utf8');
  expect(log('batch')).toBe('the second');
  expect(log(`.replaced/batch.${first.fence?.batchId}`)).toBe('the log of the first build');
});
