import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { awayForMs, fuse } from '../../../node-agent/presence/fuse.ts';
import { type Place, type Seen, type SignalReading, seen } from '../../../node-agent/presence/signal.ts';

const nowMs = 10_000_000;
const awayAfterMs = 300_000;
const judge = (sources: Readonly<Record<string, Seen>>) => fuse(new Map(Object.entries(sources)), nowMs, awayAfterMs);

const active = seen({ kind: 'active', sinceMs: nowMs - 900_000, detail: 'in use' }, 'seats');
const idleFor = (ms: number, ...sees: Place[]) =>
  seen({ kind: 'idle', lastActiveMs: nowMs - ms, detail: `unused` }, ...sees);
const busy = seen({ kind: 'busy', sinceMs: 0, what: 'a film' });
const absent = seen({ kind: 'absent', why: 'nothing here' });
const failed = seen({ kind: 'failed', why: 'broken' });
const unknown = (...places: Place[]) => seen({ kind: 'unknown', why: 'a display nobody can read', places });

describe('who is at the desk', () => {
  it('is nobody on a machine with no seat, display or login', () => {
    expect(judge({ a: absent, b: failed })).toMatchObject({ present: false, now: false, lastActivityMs: undefined });
    expect(awayForMs(judge({}), nowMs)).toBe(Number.POSITIVE_INFINITY);
  });

  it('is whoever acted last, until they have been away for long enough', () => {
    const verdict = judge({ ssh: idleFor(60_000), desk: idleFor(400_000) });
    expect(verdict).toMatchObject({ present: true, now: false, lastActivityMs: nowMs - 60_000, why: 'ssh: unused' });
    expect(awayForMs(verdict, nowMs)).toBe(60_000);
    expect(judge({ ssh: idleFor(awayAfterMs), desk: idleFor(400_000) })).toMatchObject({ present: false });
  });

  it('is somebody while they act or a film runs, however long ago that began', () => {
    expect(judge({ desk: active })).toMatchObject({ present: true, now: true, lastActivityMs: nowMs });
    expect(judge({ film: busy, ssh: idleFor(1_000_000) })).toMatchObject({
      present: true,
      now: true,
      why: 'film: a film',
    });
  });

  it('may be somebody unseen, unless another signal sees that place', () => {
    const hidden = unknown('session 1000/3', 'seats');
    expect(judge({ logind: hidden, ssh: idleFor(400_000) })).toMatchObject({ present: true, now: true });
    expect(judge({ logind: hidden, keys: idleFor(400_000, 'seats') })).toMatchObject({ present: false });
    expect(judge({ logind: hidden, helper: idleFor(400_000, 'session 1000/4') })).toMatchObject({ present: true });
    const broken: Seen = { ...failed, sees: ['session 1000/3'] };
    expect(judge({ logind: hidden, helper: broken }).present).toBe(true);
  });

  it('does not believe a clock that says somebody acted in the future', () => {
    expect(judge({ ssh: idleFor(-900_000) }).lastActivityMs).toBe(nowMs);
  });
});

const place = fc.constantFrom<Place>('session 1000/1', 'session 1000/2', 'display 1000/:0', 'seats', 'displays');
const time = fc.integer({ min: 0, max: nowMs });
const words = fc.constantFrom('this', 'that');
const reading: fc.Arbitrary<SignalReading> = fc.oneof(
  fc.record({ kind: fc.constant('active' as const), sinceMs: time, detail: words }),
  fc.record({ kind: fc.constant('idle' as const), lastActiveMs: time, detail: words }),
  fc.record({ kind: fc.constant('busy' as const), sinceMs: time, what: words }),
  fc.record({ kind: fc.constant('absent' as const), why: words }),
  fc.record({ kind: fc.constant('unknown' as const), why: words, places: fc.array(place) }),
  fc.record({ kind: fc.constant('failed' as const), why: words }),
);
const source = fc.tuple(fc.string(), fc.record({ reading, sees: fc.array(place) }));
const sources = fc.uniqueArray(source, { selector: ([name]) => name, maxLength: 8 });
const judgeAll = (list: readonly [string, Seen][]) => fuse(new Map(list), nowMs, awayAfterMs);

describe('the verdict, whatever the signals say,', () => {
  it('does not depend on their order', () => {
    fc.assert(
      fc.property(sources, (list) => {
        expect(judgeAll([...list].reverse())).toEqual(judgeAll(list));
      }),
    );
  });

  it('knows the most recent activity of all', () => {
    fc.assert(
      fc.property(sources, (list) => {
        const times = list.flatMap(([, { reading: said }]) =>
          said.kind === 'idle' ? [said.lastActiveMs] : said.kind === 'active' || said.kind === 'busy' ? [nowMs] : [],
        );
        expect(judgeAll(list).lastActivityMs).toBe(times.length === 0 ? undefined : Math.max(...times));
      }),
    );
  });

  it('says present when anybody acts, when somebody may sit unseen, or when the last activity is recent: then alone', () => {
    fc.assert(
      fc.property(sources, (list) => {
        const settled = new Set(
          list.flatMap(([, { reading: said, sees }]) =>
            said.kind === 'unknown' || said.kind === 'failed' ? [] : sees,
          ),
        );
        const there = list.some(([, { reading: said }]) => {
          if (said.kind === 'idle') return nowMs - said.lastActiveMs < awayAfterMs;
          if (said.kind === 'unknown') return !said.places.some((where) => settled.has(where));
          return said.kind === 'active' || said.kind === 'busy';
        });
        expect(judgeAll(list).present).toBe(there);
      }),
    );
  });

  it('is changed by no signal that failed or has nothing to watch', () => {
    const mute = fc.constantFrom(absent, failed);
    fc.assert(
      fc.property(sources, mute, (list, silent) => {
        const { signals: _, ...before } = judgeAll(list);
        expect(judgeAll([...list, [' another', silent]])).toMatchObject(before);
      }),
    );
  });

  it('calls nobody away while it says that somebody is there now', () => {
    fc.assert(
      fc.property(sources, (list) => {
        const verdict = judgeAll(list);
        const awayMs = awayForMs(verdict, nowMs);
        expect(verdict.now ? awayMs === 0 && verdict.present : awayMs < awayAfterMs === verdict.present).toBe(true);
      }),
    );
  });
});
