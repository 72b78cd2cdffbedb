import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { hashBytes } from '../../../base/transfer/hash.ts';
import { putFile } from '../../../node-agent/uplink/put-file.ts';
import { aFence } from '../../kit/attempts.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { SlowHead } from '../../kit/slow-head.ts';

it('sends a file whole of which a part is still on the line, from a transfer that was given up', async () => {
  const head = new SlowHead(join(scratchFolder(), 'file'));
  onTestFinished(() => head.close());
  const source = randomBytes(8 * 2 ** 20);
  const target = { $case: 'attempt' as const, value: { ...aFence() } };
  const file = { target, path: 'archive/big', source, sizeBytes: source.length, hash: hashBytes(source) };
  const early = new AbortController();
  const first = putFile(head.stream, file, 0, early.signal);
  while (head.takenBytes < 2 ** 20) await head.take();
  early.abort(new Error('the job has ended'));
  // What was handed over before is still on the line, and is answered when the next transfer listens.
  const answers = head.takeUntil(first);
  await expect(first).rejects.toThrow('the job has ended');
  await answers;
  expect(head.waiting.length).toBeGreaterThan(1);
  const second = putFile(head.stream, file, 0, new AbortController().signal);
  await Promise.all([second, head.takeUntil(second)]);
  expect(head.staged).toEqual({ sizeBytes: source.length, hash: file.hash });
});
