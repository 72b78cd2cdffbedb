import { expect, it } from 'vitest';
import { localTimes } from '../../cli/local-times.ts';

/** A moment of the day that `nowMs` is in, in this machine's time zone; as the head writes it, and as people do. */
const now = new Date(2026, 10, 21, 9, 15);
const written = (at: Date) => at.toISOString();

it("gives moments of a sentence in the reader's time zone, and the day only where it is another", () => {
  const [today, tomorrow] = [new Date(2026, 10, 21, 14, 30), new Date(2026, 10, 22, 8, 0)];
  const text = `desk is paused until ${written(today)}: "back ${written(tomorrow)}"`;
  expect(localTimes(text, now.getTime())).toBe('desk is paused until 14:30: "back 2026-11-22 08:00"');
});

it('leaves alone what is no moment', () => {
  for (const text of ['usually from 19:00', '2026-11-21', '2026-13-45T99:00:00Z', 'x2026-11-21T10:00:00Z'])
    expect(localTimes(text, now.getTime())).toBe(text);
});
