import { randomBytes } from 'node:crypto';
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { openLog } from '../../../base/log.ts';
import { systemRandom } from '../../../base/random.ts';
import { LiveLog } from '../../../node-agent/uplink/live-log.ts';
import { aFence } from '../../kit/attempts.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { SlowHead } from '../../kit/slow-head.ts';
import { until } from '../../kit/until.ts';

it('goes on where it was when the head had no room for a while', async () => {
  const folder = scratchFolder();
  const source = join(folder, 'log');
  const head = new SlowHead(join(folder, 'staged'));
  writeFileSync(source, randomBytes(2 ** 20));
  const live = new LiveLog({
    link: { open: async () => head.stream, staged: async () => new Map([['log', head.staged]]) },
    ...{ clock: systemClock, random: systemRandom, log: openLog('agent', 'silent') },
    ...{ target: { $case: 'attempt', value: { ...aFence() } }, path: 'log', source },
  });
  onTestFinished(async () => {
    head.close();
    await live.close();
  });
  const has = (sizeBytes: number) =>
    until('the log is there', async () => {
      await head.take();
      return head.staged.sizeBytes === sizeBytes;
    });
  await has(2 ** 20);
  head.refuses = 'disk-full';
  appendFileSync(source, 'more\n');
  await until('it is refused', async () => {
    const [chunk] = head.waiting;
    await head.take();
    return chunk !== undefined;
  });
  head.refuses = '';
  appendFileSync(source, 'and more\n');
  await has(2 ** 20 + 14);
  expect(head.takenBytes).toBe(2 ** 20 + 14);
});
