import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { connectBus, systemBusAddress } from './dbus/connection.ts';
import { idleNotify } from './idle-notify.ts';
import { gnomeInhibitors, inhibitors, kdeInhibitors } from './inhibitors.ts';
import { authorityPathOf } from './machine-signals.ts';
import { mutterIdle } from './mutter.ts';
import { type Place, type Signal, seen } from './signal.ts';
import { localDisplay, x11Display } from './x11.ts';

/** What a helper in a desktop session knows of where it runs. */
export interface SessionSurroundings {
  /** `DISPLAY`, `XAUTHORITY`, `WAYLAND_DISPLAY`, `XDG_RUNTIME_DIR`, `XDG_SESSION_ID`, `DBUS_SESSION_BUS_ADDRESS`, `HOME`. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly uid: number;
  /** The system's bus, where tests have another. */
  readonly systemBusAddress?: string;
}

/** The signals of one desktop session, for the helper that runs in it; not started yet. Asks logind which session it is. */
export async function sessionSignals(around: SessionSurroundings): Promise<readonly Signal[]> {
  const { env, clock, uid } = around;
  const session = env['XDG_SESSION_ID'] || (await graphicalSessionOf(around));
  const number = localDisplay(env['DISPLAY']);
  const sees: Place[] = [];
  if (session !== undefined) sees.push(`session ${uid}/${session}`);
  // An X server that the system started for this session is root's.
  if (number !== undefined) sees.push(`display ${uid}/:${number}`, `display 0/:${number}`);
  const runtime = env['XDG_RUNTIME_DIR'];
  const busAddress = sessionBusOf(env);
  const wayland = env['WAYLAND_DISPLAY'];
  const signals: Signal[] = [];
  if (number !== undefined) signals.push(ownDisplay(around, number, wayland ? [] : sees));
  if (wayland) signals.push(idleNotify({ clock, socketPath: resolve(runtime ?? '/', wayland), sees }));
  if (busAddress !== undefined) {
    signals.push(mutterIdle({ clock, uid, busAddress, sees }));
    for (const keeper of [gnomeInhibitors, kdeInhibitors]) signals.push(inhibitors({ clock, uid, busAddress, keeper }));
  }
  return signals;
}

/** The address of a session's message bus, where it has one. */
export function sessionBusOf(env: SessionSurroundings['env']): string | undefined {
  const runtime = env['XDG_RUNTIME_DIR'];
  return env['DBUS_SESSION_BUS_ADDRESS'] || (runtime ? `unix:path=${join(runtime, 'bus')}` : undefined);
}

/** Under Wayland an X display hears only what goes to its own windows: it then settles nothing. */
function ownDisplay({ env, clock }: SessionSurroundings, number: string, sees: readonly Place[]): Signal {
  return x11Display({
    clock,
    number,
    socketPath: `/tmp/.X11-unix/X${number}`,
    authorityPath: authorityPathOf(env),
    host: hostname(),
    sees,
    unreadable: (why) => seen({ kind: 'failed', why }),
  });
}

/** A unit of a user belongs to no session: logind knows which of theirs has the screen. Nothing where there is no logind. */
async function graphicalSessionOf({ clock, uid, ...around }: SessionSurroundings): Promise<string | undefined> {
  const address = around.systemBusAddress ?? systemBusAddress;
  const logind = 'org.freedesktop.login1';
  try {
    const bus = await connectBus({ clock, uid, address, signal: () => undefined });
    try {
      const path = `/org/freedesktop/login1/user/_${uid}`;
      const properties = { destination: logind, path, interface: 'org.freedesktop.DBus.Properties' };
      const args = [`${logind}.User`, 'Display'];
      const [display] = await bus.call({ ...properties, member: 'Get', signature: 'ss', args });
      const id = Array.isArray(display) ? String(display[0]) : '';
      return id === '' ? undefined : id;
    } finally {
      bus.close();
    }
  } catch {
    return undefined; // without a session's name the helper still tells of its display
  }
}
