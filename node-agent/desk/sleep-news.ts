import type { Clock } from '../../base/clock.ts';
import type { Bus } from '../presence/dbus/connection.ts';
import { isMissing, keepBus } from '../presence/dbus/keep-bus.ts';

export interface SleepNewsOptions {
  readonly clock: Clock;
  readonly uid: number;
  /** The system's bus. */
  readonly busAddress: string;
  /** logind is there; whether the machine is about to sleep, or sleeps, at this moment. Told again whenever it changes. */
  readonly told: (isAsleep: boolean) => void;
  /** logind cannot be asked, and why; nothing where there is none. */
  readonly lost: (why: string | undefined) => void;
}

const logind = 'org.freedesktop.login1';
const manager = { destination: logind, path: '/org/freedesktop/login1' };
const sleepChanged = `type='signal',sender='${logind}',interface='${logind}.Manager',member='PrepareForSleep'`;
const ownerChanged = `type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='${logind}'`;

/** Hears from logind when the machine is about to sleep and when it is awake again. */
export function watchSleep({ clock, uid, busAddress, told, lost }: SleepNewsOptions): { close(): Promise<void> } {
  let bus: Bus | undefined;
  let asking = false;
  let again = false;
  const askOnce = async (on: Bus): Promise<void> => {
    const properties = { ...manager, interface: 'org.freedesktop.DBus.Properties' };
    const args = [`${logind}.Manager`, 'PreparingForSleep'];
    const [isAsleep] = await on.call({ ...properties, member: 'Get', signature: 'ss', args });
    if (on === bus) told(isAsleep === true);
  };
  const ask = async (on: Bus): Promise<void> => {
    again = asking;
    if (asking) return;
    asking = true;
    try {
      do {
        again = false;
        await askOnce(on);
      } while (again && on === bus);
    } finally {
      asking = false;
    }
  };
  return keepBus({
    clock,
    address: busAddress,
    uid,
    async opened(on) {
      bus = on;
      await on.listen(sleepChanged);
      await on.listen(ownerChanged);
      await ask(on);
    },
    // What a signal says is not believed but asked for: anybody may send us one. A logind that is new knows of no sleep.
    signal({ member }) {
      const on = bus;
      const isNews = member === 'PrepareForSleep' || member === 'NameOwnerChanged';
      if (on !== undefined && isNews) ask(on).catch(() => on.close()); // the connection ends with it, and that is told
    },
    lost(why) {
      bus = undefined;
      lost(isMissing(why) ? undefined : why);
    },
  });
}
