import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { RefusedError, refused } from '../../../base/errors.ts';
import { openLog } from '../../../base/log.ts';
import { systemRandom } from '../../../base/random.ts';
import { hashBytes } from '../../../base/transfer/hash.ts';
import { HeadRoom } from '../../../node-agent/uplink/head-room.ts';
import { ArchiveSender } from '../../../node-agent/uplink/send-archive.ts';
import { aFence } from '../../kit/attempts.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { SlowHead } from '../../kit/slow-head.ts';

const source = randomBytes(8 * 2 ** 20);
const file = { path: 'archive/big', source, sizeBytes: source.length, hash: hashBytes(source) };
const never = new AbortController().signal;

/** A sender, and the head it sends to. `asked` is called before the head says what it has. */
function aSender(asked: () => void = () => undefined) {
  const head = new SlowHead(join(scratchFolder(), 'file'));
  onTestFinished(() => head.close());
  const link = {
    room: new HeadRoom(systemClock, systemRandom),
    open: async () => head.stream,
    async staged() {
      asked();
      return new Map(head.staged.sizeBytes > 0 ? [[file.path, head.staged]] : []);
    },
  };
  const ports = { link, clock: systemClock, random: systemRandom, log: openLog('agent', 'silent') };
  return { head, sender: new ArchiveSender(ports, aFence()) };
}

it('goes on with a file that was on its way when its job ended', async () => {
  const { head, sender } = aSender();
  const early = new AbortController();
  const first = sender.sendOne(file, early.signal);
  while (head.takenBytes < 6 * 2 ** 20) await head.take();
  early.abort(new Error('the job has ended'));
  const given = head.takeUntil(first);
  await expect(first).rejects.toThrow('the job has ended');
  await given;
  const second = sender.sendOne(file, never);
  await Promise.all([second, head.takeUntil(second)]);
  expect(head.staged).toEqual({ sizeBytes: source.length, hash: file.hash });
  // No more than what the line holds has come twice.
  expect(head.takenBytes).toBeLessThan(source.length + 3 * 2 ** 20);
});

it('waits for a head that will not even say what it has', async () => {
  let isDenied = true;
  const { head, sender } = aSender(() => {
    if (isDenied) throw new RefusedError(refused('denied', 'your certificate is not valid yet'));
  });
  const sent = sender.sendOne(file, never);
  setTimeout(() => {
    isDenied = false;
  }, 0);
  await Promise.all([sent, head.takeUntil(sent)]);
  expect(head.staged.hash).toBe(file.hash);
});

it('waits for a head that is looking whether what it has is whole', async () => {
  const { head, sender } = aSender();
  head.refuses = 'conflict';
  const sent = sender.sendOne(file, never);
  while (head.waiting.length === 0) await head.take();
  await head.take();
  head.refuses = '';
  await Promise.all([sent, head.takeUntil(sent)]);
  expect(head.staged.hash).toBe(file.hash);
});
