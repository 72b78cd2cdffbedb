import { systemClock } from '../base/clock.ts';
import { momentText } from './print.ts';

/** Moments in sentences of the head: ISO 8601 in UTC, as it knows no reader's time zone. */
const moments = /\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z/g;

/** The same sentence with its moments in this machine's time zone: `14:30` of today, `2026-11-22 08:00` of another day. */
export function localTimes(text: string, nowMs = systemClock.nowMs()): string {
  const today = dayOf(momentText(BigInt(Math.floor(nowMs))));
  return text.replaceAll(moments, (written) => {
    const atMs = Date.parse(written);
    // Whatever looks like a moment and is none, as the 31st of February, stays as it was written.
    if (!Number.isFinite(atMs) || atMs <= 0) return written;
    const local = momentText(BigInt(atMs)).slice(0, -':00'.length);
    return dayOf(local) === today ? local.slice(today.length + 1) : local;
  });
}

function dayOf(moment: string): string {
  return moment.slice(0, '2026-11-21'.length);
}
