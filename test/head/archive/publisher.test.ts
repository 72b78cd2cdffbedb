import { beforeEach, describe, expect, it } from 'vitest';
import { assert } from '../../../base/assert.ts';
import { asBatchId, type BatchId, ulid } from '../../../base/ids.ts';
import { openLog } from '../../../base/log.ts';
import { systemRandom } from '../../../base/random.ts';
import { batchOf } from '../../../head/archive/archive-record.ts';
import { Publisher } from '../../../head/archive/publisher.ts';
import type { LogRecord } from '../../../head/scheduler/event.ts';
import { ManualClock } from '../../kit/manual-clock.ts';
import { until } from '../../kit/until.ts';

const [bad, good] = [3, 4].map((seed) => {
  const id = asBatchId(ulid(seed, Buffer.alloc(10, seed)));
  assert(id, 'a ULID is a batch id');
  return id;
}) as [BatchId, BatchId]; // one for each seed
const log = openLog('test', 'silent');
const actor = { kind: 'system', name: 'head' } as const;
let clock: ManualClock;
let publisher: Publisher;
let tell: (records: readonly LogRecord[]) => void;
/** What each batch's tree says to what comes; nothing: it takes it. */
let troubles: Map<BatchId, Error>;
let published: number[];
let marks: number[];
let stuck: (string | undefined)[];
let failures: string[];

beforeEach(async () => {
  clock = new ManualClock();
  [troubles, published, marks, stuck, failures] = [new Map(), [], [], [], []];
  publisher = new Publisher({
    engine: {
      subscribe: (listener) => {
        tell = (records) => listener(records, undefined as never); // it looks at no state
        return () => undefined;
      },
      async *records() {},
    },
    mark: { read: async () => 0, reached: (seq) => void marks.push(seq), close: async () => undefined },
    disks: { failed: (_role, why) => void failures.push(why) },
    ...{ clock, random: systemRandom, log },
    publish: async (records) => {
      for (const record of records) {
        const trouble = troubles.get(batchOf(record));
        if (trouble) throw trouble;
        published.push(record.seq);
      }
    },
    stuck: async (_batchId, why) => void stuck.push(why),
  });
  await publisher.start();
});

const ended = (seq: number, batchId: BatchId): LogRecord => ({
  ...{ seq, atMs: seq, actor },
  event: { kind: 'batch-ended', batchId, state: 'succeeded' },
});

/** Lets it gather, or try again, until something is so. */
async function soon(what: string, isSo: () => boolean): Promise<void> {
  await until(what, () => {
    clock.advance(2_000);
    return isSo();
  });
}

describe('a batch whose tree takes nothing', () => {
  it('holds up no other, is tried again, and follows in order when it does', async () => {
    troubles.set(bad, Object.assign(new Error('ENOTDIR: not a directory, mkdir'), { code: 'ENOTDIR' }));
    tell([ended(1, good), ended(2, bad), ended(3, good), ended(4, bad)]);
    await publisher.settled(good);
    tell([ended(5, bad), ended(6, good)]);
    await publisher.settled(good);
    expect(new Set(published)).toEqual(new Set([1, 3, 6]));
    expect(stuck).toContain('ENOTDIR: not a directory, mkdir');
    await soon('it has been tried again', () => stuck.length >= 3);
    await expect(publisher.readable(bad)).rejects.toThrow(/cannot be put in their place \(ENOTDIR: not a directory/);
    // Of the disk nothing is said: whoever else writes there goes on.
    expect(failures).toEqual([]);
    expect([marks.at(-1), publisher.pendingSeq]).toEqual([1, 2]);
    troubles.clear();
    published = [];
    await soon('it is tried again', () => published.length === 3);
    expect(published).toEqual([2, 4, 5]);
    await publisher.idle();
    await publisher.readable(bad);
    expect([marks.at(-1), publisher.pendingSeq, stuck.at(-1)]).toEqual([6, Number.POSITIVE_INFINITY, undefined]);
    await publisher.close();
  });

  it('waits with all others where it is the disk that takes nothing', async () => {
    troubles.set(bad, Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' }));
    tell([ended(1, bad), ended(2, good)]);
    await soon('it has been tried', () => failures.length > 1);
    expect(failures[0]).toContain('ENOSPC');
    expect([published, stuck]).toEqual([[], []]);
    troubles.clear();
    await soon('it is tried again', () => published.length === 2);
    await publisher.close();
  });

  it('is left for the next start when the head stops, with all that the mark has not passed', async () => {
    troubles.set(bad, new Error('no'));
    tell([ended(1, bad), ended(2, good)]);
    await publisher.settled(good);
    await publisher.close();
    expect(marks).toEqual([0]);
  });
});
