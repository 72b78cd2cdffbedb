import { systemClock } from '../../base/clock.ts';
import { Fault } from '../../base/errors.ts';
import type { SessionReport } from '../../proto/gen/labrun/v1/desk.ts';
import { writeReport } from '../desk/session-reports.ts';
import { notify } from './notify.ts';
import { sessionBusOf, sessionSignals } from './session-signals.ts';

/**
 * Watches the desktop session it is started in until the signal is aborted, and tells what each of its sources says, in
 * place of what it said before. A report says how long ago things were, and so is made when it is sent.
 */
export async function watchSession(tell: (make: () => SessionReport) => void, until: AbortSignal): Promise<void> {
  const clock = systemClock;
  const signals = await sessionSignals({ env: process.env, clock, uid: process.getuid?.() ?? -1 });
  if (!until.aborted) {
    for (const signal of signals) {
      signal.start((source, said) => tell(() => writeReport(source, said, clock.sinceBootMs())));
    }
    await new Promise<void>((resolve) => until.addEventListener('abort', () => resolve(), { once: true }));
  }
  await Promise.all(signals.map((signal) => signal.close()));
}

/** Shows a line on the desktop of the session that it is started in. Rejects with `Fault` when nobody shows such things there. */
export async function showNotice(text: string): Promise<void> {
  const busAddress = sessionBusOf(process.env);
  if (busAddress === undefined) throw new Fault('no-bus', 'Cannot show a notice: this session has no message bus');
  await notify({ clock: systemClock, uid: process.getuid?.() ?? -1, busAddress }, text);
}
