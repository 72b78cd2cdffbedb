import type { Clock } from '../../base/clock.ts';
import type { Signal } from './signal.ts';

/** What a helper in a desktop session knows of where it runs. */
export interface SessionSurroundings {
  /** `DISPLAY`, `XAUTHORITY`, `WAYLAND_DISPLAY`, `XDG_RUNTIME_DIR`, `XDG_SESSION_ID`, `DBUS_SESSION_BUS_ADDRESS`, `HOME`. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
}

/** The signals of one desktop session, for the helper that runs in it; not started yet. */
export function sessionSignals(_around: SessionSurroundings): readonly Signal[] {
  return [];
}
