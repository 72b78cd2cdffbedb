import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import {
  addStretch,
  chanceIn,
  chanceWithinHour,
  emptyHistory,
  type LocalTime,
  localTime,
  type PresenceHistory,
  readHistory,
  slotsCount,
  usuallyAwayFromMs,
  writeHistory,
} from '../../../node-agent/presence/history.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const utc: LocalTime = {
  slotOf: (wallMs) => ((((Math.floor(wallMs / dayMs) + 3) % 7) + 7) % 7) * 24 + Math.floor((wallMs % dayMs) / hourMs),
  nextHourMs: (wallMs) => (Math.floor(wallMs / hourMs) + 1) * hourMs,
};
const monday = Date.UTC(2026, 0, 5);

describe('the habits of a desk', () => {
  it('are unknown at first', () => {
    expect(chanceIn(emptyHistory(), 0)).toBe(0.5);
    expect(chanceWithinHour(emptyHistory(), monday, utc)).toBeCloseTo(0.5);
    expect(usuallyAwayFromMs(emptyHistory(), monday, utc)).toBeUndefined();
  });

  it('are learned per weekday and hour: at work from 9 to 19, away at night and on Sunday', () => {
    const history = weeks(emptyHistory(), 4, (day, hour) => day < 6 && hour >= 9 && hour < 19);
    const at = (day: number, hour: number) => monday + 28 * dayMs + day * dayMs + hour * hourMs;
    expect(chanceWithinHour(history, at(0, 10), utc)).toBeGreaterThan(0.9);
    expect(chanceWithinHour(history, at(0, 22), utc)).toBeLessThan(0.1);
    expect(chanceWithinHour(history, at(6, 10), utc)).toBeLessThan(0.1);
    expect(chanceWithinHour(history, at(1, 8) + 45 * 60_000, utc)).toBeGreaterThan(0.8);
    expect(usuallyAwayFromMs(history, at(0, 10.5), utc)).toBe(at(0, 19));
    expect(usuallyAwayFromMs(history, at(0, 20.5), utc)).toBe(at(0, 20.5));
    expect(
      usuallyAwayFromMs(
        weeks(history, 8, () => true),
        at(0, 10.5),
        utc,
      ),
    ).toBeUndefined();
  });

  it('change within a few weeks, and one odd day does not change them', () => {
    const away = weeks(emptyHistory(), 8, () => false);
    const odd = weeks(away, 1, () => true);
    expect(chanceIn(odd, 10)).toBeLessThan(0.3);
    expect(
      chanceIn(
        weeks(away, 4, () => true),
        10,
      ),
    ).toBeGreaterThan(0.45);
    expect(
      chanceIn(
        weeks(away, 12, () => true),
        10,
      ),
    ).toBeGreaterThan(0.8);
  });

  it('are not learned from a clock that was set', () => {
    const empty = emptyHistory();
    expect(addStretch(empty, { fromMs: monday, toMs: monday - 1, present: true }, utc)).toBe(empty);
    expect(addStretch(empty, { fromMs: 0, toMs: monday, present: true }, utc)).toBe(empty);
  });

  it('come back as they were written; anything else is refused', () => {
    const history = weeks(emptyHistory(), 3, (_, hour) => hour > 12);
    const text = writeHistory(history);
    const read = readHistory(text);
    for (let slot = 0; slot < slotsCount; slot++) {
      expect(chanceIn(read ?? emptyHistory(), slot)).toBeCloseTo(chanceIn(history, slot), 2);
    }
    expect(text.length).toBeLessThan(4_096);
    const broken = [
      '',
      '{}',
      text.slice(0, -9),
      text.replace('1', '2'),
      text.replace('presentS":[0', 'presentS":[99999999'),
      'null',
      '{"version":1,"presentS":[-1],"watchedS":3}',
    ];
    expect(broken.map(readHistory)).toEqual(broken.map(() => undefined));
  });

  it('stay chances, whatever happens', () => {
    const stretch = fc.record({ ms: fc.integer({ min: 1, max: 3 * dayMs }), present: fc.boolean() });
    fc.assert(
      fc.property(fc.array(stretch, { maxLength: 20 }), fc.integer({ min: 0, max: dayMs }), (stretches, offset) => {
        let history = emptyHistory();
        let at = monday;
        for (const { ms, present } of stretches) {
          history = addStretch(history, { fromMs: at, toMs: at + ms, present }, utc);
          at += ms;
        }
        for (let slot = 0; slot < slotsCount; slot++) {
          expect(chanceIn(history, slot)).toBeGreaterThan(0);
          expect(chanceIn(history, slot)).toBeLessThan(1);
        }
        const chance = chanceWithinHour(history, at + offset, utc);
        expect(chance > 0 && chance < 1).toBe(true);
      }),
    );
  });
});

describe('local time', () => {
  const zone = process.env['TZ'];
  afterEach(() => {
    process.env['TZ'] = zone ?? '';
    if (zone === undefined) delete process.env['TZ'];
  });

  it.each(['UTC', 'Europe/Berlin', 'Asia/Kolkata', 'America/St_Johns', 'Australia/Lord_Howe'])(
    'of %s goes from hour to hour, also when clocks change',
    (name) => {
      process.env['TZ'] = name;
      let at = Date.UTC(2026, 2, 1, 0, 17);
      const end = Date.UTC(2026, 10, 30);
      const slots = new Set<number>();
      while (at < end) {
        slots.add(localTime.slotOf(at));
        const next = localTime.nextHourMs(at);
        expect(next - at).toBeGreaterThan(0);
        expect(next - at).toBeLessThanOrEqual(hourMs);
        at = next;
      }
      expect(slots.size).toBe(slotsCount);
    },
  );

  it('calls Monday midnight the first hour of the week', () => {
    process.env['TZ'] = 'Europe/Berlin';
    expect(localTime.slotOf(Date.UTC(2026, 0, 4, 23, 30))).toBe(0);
    expect(localTime.slotOf(Date.UTC(2026, 0, 4, 22, 30))).toBe(167);
  });
});

/** Adds whole weeks, hour by hour. */
function weeks(
  history: PresenceHistory,
  count: number,
  present: (day: number, hour: number) => boolean,
): PresenceHistory {
  let after = history;
  for (let hour = 0; hour < count * slotsCount; hour++) {
    const fromMs = monday + hour * hourMs;
    const there = present(Math.floor((hour % slotsCount) / 24), hour % 24);
    after = addStretch(after, { fromMs, toMs: fromMs + hourMs, present: there }, utc);
  }
  return after;
}
