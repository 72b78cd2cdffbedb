import { describe, expect, it } from 'vitest';
import { openLog } from '../../../base/log.ts';
import { awayForMs } from '../../../node-agent/presence/fuse.ts';
import { type Signal, type SignalReading, seen, type Tell } from '../../../node-agent/presence/signal.ts';
import { openPresence, type PresenceVerdict } from '../../../node-agent/presence/watch.ts';
import { ManualClock } from '../../kit/manual-clock.ts';

const helper = { id: 'h1', uid: 1000 };
const logindUnknown = seen({ kind: 'unknown', why: 'session 3 is graphical', places: ['session 1000/3', 'seats'] });

describe('the watch', () => {
  it('takes a machine for used until every signal has answered', () => {
    const { watch, say } = start('a', 'b');
    expect(watch.current()).toMatchObject({ present: true, why: 'a: has not answered yet' });
    say('a', { kind: 'absent', why: 'none' });
    expect(watch.current()).toMatchObject({ present: true, why: 'b: has not answered yet' });
    say('b', { kind: 'absent', why: 'none' });
    expect(watch.current()).toMatchObject({ present: false });
  });

  it('waits for its signals no longer than until all have answered, or for a moment', async () => {
    const { watch, say, clock } = start('a', 'b');
    const order: string[] = [];
    const waiting = [watch.answered(), start().watch.answered()].map(async (answered, at) => {
      await answered;
      order.push(`${at}`);
    });
    say('a', { kind: 'absent', why: 'none' });
    await waiting[1];
    expect(order).toEqual(['1']);
    say('b', { kind: 'absent', why: 'none' });
    await waiting[0];
    expect(clock.waits).toEqual([]);
    const silent = start('c');
    const patience = silent.watch.answered();
    expect(silent.clock.waits).toEqual([2_000]);
    silent.clock.advance(2_000);
    await patience;
    expect(silent.watch.current()).toMatchObject({ present: true });
  });

  it('tells at once when somebody acts, and by itself when they have been away for long enough', () => {
    const { watch, say, clock, news } = start('desk');
    say('desk', { kind: 'absent', why: 'none' });
    clock.advance(5_000);
    const sinceMs = clock.sinceBootMs();
    say('desk', { kind: 'active', sinceMs, detail: 'keys' });
    expect(news.at(-1)).toMatchObject({ present: true, now: true, why: 'desk: keys', sinceMs });
    clock.advance(10_000);
    say('desk', { kind: 'idle', lastActiveMs: clock.sinceBootMs() - 1_000, detail: 'keys' });
    expect(news.at(-1)).toMatchObject({ present: true, now: false });
    expect(awayForMs(watch.current(), clock.sinceBootMs())).toBe(1_000);
    const told = news.length;
    clock.advance(58_999);
    expect(news).toHaveLength(told);
    clock.advance(1);
    expect(news.at(-1)).toMatchObject({ present: false, sinceMs: clock.sinceBootMs() });
    expect(clock.waits).toEqual([]);
  });

  it('does not forget who logged out a moment ago, nor make them act later than they did', () => {
    const { watch, say, tell, clock } = start('terminals', 'x11 :0');
    say('x11 :0', { kind: 'absent', why: 'no display' });
    say('terminals', { kind: 'idle', lastActiveMs: clock.sinceBootMs() - 10_000, detail: 'pts/3' });
    say('terminals', { kind: 'absent', why: 'no terminal' });
    expect(watch.current()).toMatchObject({ present: true, why: 'earlier: terminals: pts/3' });
    tell('x11 :0', seen({ kind: 'active', sinceMs: 0, detail: 'keys' }));
    clock.advance(30_000);
    tell('x11 :0', undefined);
    expect(watch.current().lastActivityMs).toBe(clock.sinceBootMs());
    clock.advance(60_000);
    expect(watch.current().present).toBe(false);
  });

  it('judges by another time from the moment that is set', () => {
    const { watch, say, clock, news } = start('desk');
    say('desk', { kind: 'idle', lastActiveMs: clock.sinceBootMs() - 30_000, detail: 'keys' });
    expect(watch.current().present).toBe(true);
    watch.setAwayAfter(20_000);
    expect(news.at(-1)).toMatchObject({ present: false });
    watch.setAwayAfter(40_000);
    clock.advance(10_000);
    expect(news.slice(-2)).toMatchObject([{ present: true }, { present: false }]);
  });

  it('tells nobody who has stopped listening, and stops its signals when closed', async () => {
    const { watch, say, clock, news, closed } = start('desk');
    const later: PresenceVerdict[] = [];
    watch.onChange((verdict) => later.push(verdict))();
    say('desk', { kind: 'active', sinceMs: 0, detail: 'keys' });
    expect([later.length, news.length]).toEqual([0, 1]);
    say('desk', { kind: 'idle', lastActiveMs: clock.sinceBootMs(), detail: 'keys' });
    await watch.close();
    expect(closed).toEqual(['desk']);
    expect(clock.waits).toEqual([]);
  });

  it('writes down a signal that fails, once', () => {
    const { watch, say, lines } = start('desk');
    for (const why of ['no bus', 'still no bus']) say('desk', { kind: 'failed', why });
    expect(lines).toEqual([expect.stringContaining('no bus')]);
    watch.feed(helper, 'x11', seen({ kind: 'failed', why: 'a person may not fill the log' }));
    expect(lines).toHaveLength(1);
  });
});

describe('a helper in a desktop session', () => {
  it('shows what logind cannot see, and leaves it unseen when it goes away', () => {
    const { watch, tell, clock } = start('logind');
    tell('logind', logindUnknown);
    expect(watch.current()).toMatchObject({ present: true, now: true });
    const idle = seen({ kind: 'idle', lastActiveMs: clock.sinceBootMs() - 90_000, detail: 'keys' }, 'session 1000/3');
    watch.feed(helper, 'x11', idle);
    expect(watch.current()).toMatchObject({ present: false, lastActivityMs: clock.sinceBootMs() - 90_000 });
    watch.lost(helper);
    expect(watch.current()).toMatchObject({ present: true, why: 'logind: session 3 is graphical' });
    tell('logind', seen({ kind: 'absent', why: 'nobody is logged in' }));
    expect(watch.current()).toMatchObject({ present: false });
  });

  it('may not speak for the whole machine, of the future, or without end', () => {
    const { watch, tell, clock } = start('logind');
    tell('logind', logindUnknown);
    const nowMs = clock.sinceBootMs();
    watch.feed(helper, 'x11', seen({ kind: 'absent', why: 'trust me' }, 'seats', 'displays'));
    watch.feed({ id: 'h2', uid: 1001 }, 'x11', seen({ kind: 'absent', why: 'not mine' }, 'session 1000/3'));
    expect(watch.current().present).toBe(true);
    watch.feed(helper, 'x11', seen({ kind: 'idle', lastActiveMs: nowMs + 1e9, detail: '\u001b[2J'.repeat(200) }));
    const { reading } = watch.current().signals.find(({ source }) => source.startsWith('helper h1')) ?? {};
    expect(reading).toMatchObject({ lastActiveMs: nowMs, detail: expect.stringMatching(/^[\\x1b[\]2J]{200}$/) });
    for (let n = 0; n < 100; n++) watch.feed(helper, `s${n}`, seen({ kind: 'absent', why: 'x' }));
    expect(watch.current().signals.length).toBeLessThanOrEqual(18);
    watch.feed(helper, 'x11', undefined);
    expect(watch.current().signals.some(({ source }) => source.startsWith('helper h1 (uid 1000): x11'))).toBe(false);
  });
});

function start(...names: string[]) {
  const clock = new ManualClock();
  const lines: string[] = [];
  const log = openLog('agent', 'warn', (line) => lines.push(line));
  const closed: string[] = [];
  const tells = new Map<string, Tell>();
  const signals: Signal[] = names.map((name) => ({
    name,
    start: (tell) => void tells.set(name, tell),
    close: async () => void closed.push(name),
  }));
  const watch = openPresence({ clock, log, signals, awayAfterMs: 60_000 });
  const news: PresenceVerdict[] = [];
  watch.onChange((verdict) => news.push(verdict));
  const tell: Tell = (source, said) => tells.get(source)?.(source, said);
  const say = (source: string, reading: SignalReading) => tell(source, seen(reading));
  return { watch, clock, lines, closed, news, tell, say };
}
