import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { systemBusAddress } from './dbus/connection.ts';
import { displays } from './displays.ts';
import { inhibitors, logindInhibitors } from './inhibitors.ts';
import { inputEvents } from './input-events.ts';
import { logindSessions } from './logind.ts';
import type { Signal } from './signal.ts';
import { terminals } from './terminals.ts';

/** What the agent's own signals need to know of where it runs. */
export interface MachineSurroundings {
  /** `XAUTHORITY` and `HOME`: an agent that somebody started in their own session may read its display. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** The wall clock. */
  wallMs(): number;
  /** The account it runs as. */
  readonly uid: number;
  /** Accounts that jobs run as: their terminals and displays are nobody's. Empty where jobs run as the person. */
  readonly jobUids: readonly number[];
  /** Input devices to read in place of those of `/dev/input`: a FIFO where there is no device. */
  readonly inputPaths?: readonly string[] | undefined;
}

/** The signals that an agent's account can read on this machine; not started yet. */
export function machineSignals(around: MachineSurroundings): readonly Signal[] {
  const { clock, wallMs, uid, jobUids } = around;
  const onBus = { clock, uid, busAddress: systemBusAddress };
  const x11 = { folder: '/tmp/.X11-unix', authorityPath: authorityPathOf(around.env), host: hostname() };
  return [
    logindSessions({ ...onBus, wallMs }),
    inhibitors({ ...onBus, keeper: logindInhibitors }),
    terminals({ clock, wallMs, jobUids, folder: '/dev' }),
    inputEvents({ clock, paths: around.inputPaths }),
    displays({ clock, uid, jobUids, ...x11 }),
  ];
}

/** The file with the cookies of whoever has this environment. */
export function authorityPathOf(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const { XAUTHORITY: named, HOME: home } = env;
  return named || (home ? join(home, '.Xauthority') : undefined);
}
