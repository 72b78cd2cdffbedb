import type { Clock, Timer } from '../../base/clock.ts';
import type { Bus } from './dbus/connection.ts';
import { isMissing, keepBus } from './dbus/keep-bus.ts';
import type { DBusMessage } from './dbus/message.ts';
import type { DBusValue } from './dbus/values.ts';
import { type Signal, seen } from './signal.ts';

/** One keeper of inhibitors on a bus: what to ask, and what tells that it changed. */
export interface InhibitorKeeper {
  /** The source's name. */
  readonly name: string;
  readonly destination: string;
  readonly path: string;
  /** Match rules of the signals that tell of a change, without their sender. */
  readonly changes: readonly string[];
  /** Who holds the desk awake, in words; nothing when nobody does. */
  readonly ask: (bus: Bus) => Promise<string | undefined>;
}

export interface InhibitorOptions {
  readonly clock: Clock;
  readonly uid: number;
  readonly busAddress: string;
  readonly keeper: InhibitorKeeper;
}

/** Changes come in groups: inhibitors are asked for once for all that come within this time, in milliseconds. */
const settleMs = 100;

/** Films, calls and whatever else asks the desktop not to go idle. Counts as a person while it lasts. */
export function inhibitors(options: InhibitorOptions): Signal {
  const { clock, uid, busAddress: address, keeper } = options;
  let kept: { close(): Promise<void> } | undefined;
  let timer: Timer | undefined;
  return {
    name: keeper.name,
    start(tell) {
      let bus: Bus | undefined;
      let sinceMs: number | undefined;
      const look = async (on: Bus): Promise<void> => {
        const what = await keeper.ask(on);
        if (on !== bus) return;
        sinceMs = what === undefined ? undefined : (sinceMs ?? clock.sinceBootMs());
        if (what === undefined || sinceMs === undefined)
          tell(keeper.name, seen({ kind: 'absent', why: 'nothing holds' }));
        else tell(keeper.name, seen({ kind: 'busy', sinceMs, what }));
      };
      const due = () => {
        timer = undefined;
        const on = bus;
        if (on !== undefined) look(on).catch(() => on.close()); // the connection ends with it, and that is told
      };
      kept = keepBus({
        clock,
        address,
        uid,
        async opened(on) {
          bus = on;
          for (const rule of keeper.changes) await on.listen(`type='signal',sender='${keeper.destination}',${rule}`);
          // When the keeper itself comes, all it knew before is void.
          await on.listen(`${ownerChanged},arg0='${keeper.destination}'`);
          await look(on);
        },
        // Anybody may send us a signal: it makes us ask, no more often than that.
        signal: (message) => {
          if (isOurs(message, keeper)) timer ??= clock.setTimer(settleMs, due);
        },
        lost(why) {
          bus = undefined;
          sinceMs = undefined;
          tell(keeper.name, lostReading(why));
        },
      });
    },
    async close() {
      timer?.cancel();
      await kept?.close();
      timer?.cancel();
    },
  };
}

const ownerChanged = "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'";

function isOurs(message: DBusMessage, keeper: InhibitorKeeper): boolean {
  return message.path.startsWith(keeper.path) || message.member === 'NameOwnerChanged';
}

function lostReading(why: string) {
  if (isMissing(why)) return seen({ kind: 'absent', why: 'nobody keeps inhibitors here' });
  return seen({ kind: 'failed', why });
}

/** logind's own, which any account may read; GNOME passes its on to it. */
export const logindInhibitors: InhibitorKeeper = {
  name: 'inhibitors',
  destination: 'org.freedesktop.login1',
  path: '/org/freedesktop/login1',
  changes: ["interface='org.freedesktop.DBus.Properties',path='/org/freedesktop/login1'"],
  async ask(bus) {
    const place = { destination: this.destination, path: this.path, interface: 'org.freedesktop.login1.Manager' };
    const [list] = await bus.call({ ...place, member: 'ListInhibitors' });
    for (const entry of Array.isArray(list) ? list : []) {
      const [what, who, why, mode] = Array.isArray(entry) ? entry.map(String) : [];
      if (mode === 'block' && what?.split(':').includes('idle')) return `${who}: ${why}`;
    }
    return undefined;
  },
};

/** The session manager of GNOME and of what descends from it. Its flag 8 means: do not go idle. */
export const gnomeInhibitors: InhibitorKeeper = {
  name: 'inhibitors (GNOME)',
  destination: 'org.gnome.SessionManager',
  path: '/org/gnome/SessionManager',
  changes: ["interface='org.gnome.SessionManager'"],
  ask: async (bus) => {
    const place = { destination: 'org.gnome.SessionManager', path: '/org/gnome/SessionManager' };
    const call = { ...place, interface: 'org.gnome.SessionManager', member: 'IsInhibited', signature: 'u', args: [8] };
    return (await askIfThere(bus, call)) === true ? 'a program holds the session awake' : undefined;
  },
};

/** KDE's power management. Its policy 4 means: do not change the screen's settings, as films ask. */
export const kdeInhibitors: InhibitorKeeper = {
  name: 'inhibitors (KDE)',
  destination: 'org.kde.Solid.PowerManagement.PolicyAgent',
  path: '/org/kde/Solid/PowerManagement/PolicyAgent',
  changes: ["interface='org.kde.Solid.PowerManagement.PolicyAgent'"],
  ask: async (bus) => {
    const agent = 'org.kde.Solid.PowerManagement.PolicyAgent';
    const place = { destination: agent, path: '/org/kde/Solid/PowerManagement/PolicyAgent', interface: agent };
    const call = { ...place, member: 'HasInhibition', signature: 'u', args: [4] };
    return (await askIfThere(bus, call)) === true ? 'a program holds the screen awake' : undefined;
  },
};

/** The first value of the answer; nothing where the service does not run here. */
async function askIfThere(bus: Bus, call: Parameters<Bus['call']>[0]): Promise<DBusValue | undefined> {
  const owner = {
    destination: 'org.freedesktop.DBus',
    path: '/org/freedesktop/DBus',
    interface: 'org.freedesktop.DBus',
  };
  const [there] = await bus.call({ ...owner, member: 'NameHasOwner', signature: 's', args: [call.destination] });
  if (there !== true) return undefined; // to call it would start it
  const [value] = await bus.call(call);
  return value;
}
