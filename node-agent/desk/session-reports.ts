import { type Clock, delay } from '../../base/clock.ts';
import { ulid } from '../../base/ids.ts';
import type { Random } from '../../base/random.ts';
import type { SessionReport } from '../../proto/gen/labrun/v1/desk.ts';
import type { Place, Seen, SignalReading } from '../presence/signal.ts';
import type { PresenceWatch } from '../presence/watch.ts';
import type { DeskCaller } from './caller.ts';

const secondMs = 1_000;
/** Reports of one program that are taken in a second; signals say something when somebody comes or goes. */
const perSecondMax = 50;

/** Takes what a program in somebody's session says of them, until it ends; then none of it counts any more. */
export async function takeReports(
  messages: AsyncIterable<SessionReport>,
  { uid }: DeskCaller,
  presence: Pick<PresenceWatch, 'feed' | 'lost'>,
  ports: { readonly clock: Clock; readonly random: Random },
): Promise<void> {
  const { clock, random } = ports;
  const helper = { id: ulid(clock.nowMs(), random.bytes(10)), uid };
  let [sinceMs, taken] = [clock.monotonicMs(), 0];
  try {
    for await (const report of messages) {
      // Who says more is not read for the rest of the second, and then made to wait by the connection.
      if (clock.monotonicMs() - sinceMs >= secondMs) [sinceMs, taken] = [clock.monotonicMs(), 0];
      else if (taken >= perSecondMax) {
        await delay(clock, sinceMs + secondMs - clock.monotonicMs());
        [sinceMs, taken] = [clock.monotonicMs(), 0];
      }
      taken += 1;
      presence.feed(helper, report.source, readReport(report, clock.sinceBootMs()));
    }
  } finally {
    presence.lost(helper);
  }
}

/** What a source says; nothing when it is gone. What nobody understands says nothing about anybody. */
function readReport({ kind, msAgo, detail, places, sees }: SessionReport, nowMs: number): Seen | undefined {
  const atMs = nowMs - Number(msAgo);
  const reading = (): SignalReading => {
    switch (kind) {
      case 'active':
        return { kind, sinceMs: atMs, detail };
      case 'idle':
        return { kind, lastActiveMs: atMs, detail };
      case 'busy':
        return { kind, sinceMs: atMs, what: detail };
      case 'absent':
        return { kind, why: detail };
      case 'unknown':
        return { kind, why: detail, places: places.filter(isPlace) };
      default:
        return { kind: 'failed', why: kind === 'failed' ? detail : `says "${kind}", which this agent does not know` };
    }
  };
  return kind === 'gone' ? undefined : { reading: reading(), sees: sees.filter(isPlace) };
}

/** A report as the program in the session sends it. */
export function writeReport(source: string, said: Seen | undefined, nowMs: number): SessionReport {
  const ago = (ms: number) => BigInt(Math.max(0, Math.round(nowMs - ms)));
  const blank = { source, kind: 'gone', msAgo: 0n, detail: '', places: [], sees: [] };
  if (!said) return blank;
  const { reading } = said;
  const common = { ...blank, kind: reading.kind, sees: [...said.sees] };
  switch (reading.kind) {
    case 'active':
      return { ...common, msAgo: ago(reading.sinceMs), detail: reading.detail };
    case 'idle':
      return { ...common, msAgo: ago(reading.lastActiveMs), detail: reading.detail };
    case 'busy':
      return { ...common, msAgo: ago(reading.sinceMs), detail: reading.what };
    case 'unknown':
      return { ...common, detail: reading.why, places: [...reading.places] };
    default:
      return { ...common, detail: reading.why };
  }
}

function isPlace(text: string): text is Place {
  return text.startsWith('session ') || text.startsWith('display ');
}
