import type { DBusValue } from './dbus/values.ts';
import { type Place, type Seen, seen } from './signal.ts';

/** What logind says of a session, as far as it tells whether a person is there. */
export interface LogindSession {
  readonly id: string;
  readonly user: string;
  readonly uid: number;
  /** "user" for a person's; others are greeters, lock screens and background work. */
  readonly class: string;
  /** "x11", "wayland", "mir" for a desktop; "tty" and "unspecified" for the rest. */
  readonly type: string;
  /** "active", "online" (in the background of its seat) or "closing" (only leftovers run). */
  readonly state: string;
  readonly remote: boolean;
  readonly seat: string;
  readonly display: string;
  readonly tty: string;
  readonly locked: boolean;
  readonly idle: boolean;
  /** Wall clock; 0 when logind knows none. */
  readonly idleSinceMs: number;
  readonly sinceMs: number;
}

/** Reads the properties of `org.freedesktop.login1.Session`; what is missing is empty. */
export function readSession(properties: ReadonlyMap<string, DBusValue>): LogindSession {
  const text = (name: string) => String(properties.get(name) ?? '');
  const pair = (name: string, at: number) => {
    const value = properties.get(name);
    return Array.isArray(value) ? value[at] : undefined;
  };
  const wallMs = (name: string) => Number(properties.get(name) ?? 0) / 1_000;
  return {
    id: text('Id'),
    user: text('Name'),
    uid: Number(pair('User', 0) ?? -1),
    class: text('Class'),
    type: text('Type'),
    state: text('State'),
    remote: properties.get('Remote') === true,
    seat: String(pair('Seat', 0) ?? ''),
    display: text('Display'),
    tty: text('TTY'),
    locked: properties.get('LockedHint') === true,
    idle: properties.get('IdleHint') === true,
    idleSinceMs: wallMs('IdleSinceHint'),
    sinceMs: wallMs('Timestamp'),
  };
}

/**
 * What a session says of a person; nothing when it says nothing. `before` is what it said last. Times of `session` are
 * wall clock, those of readings since boot.
 *
 * A terminal's session counts by its login alone: the terminal itself tells the rest. A desktop's idle hint, where the
 * desktop sets it, is believed when it says idle; when it says nothing, a person may sit there unseen. Who locks the
 * screen acts at that moment, and is not seen afterwards.
 */
export function judgeSession(
  session: LogindSession,
  before: Seen | undefined,
  nowMs: number,
  wallMs: number,
): Seen | undefined {
  if (!session.class.startsWith('user') || session.state === 'closing') return undefined;
  const sinceBoot = (wall: number) => Math.min(nowMs, nowMs - (wallMs - wall));
  const { user, type, seat } = session;
  if (!isGraphical(session)) {
    if (session.tty === '' || session.sinceMs === 0) return undefined;
    const detail = `${user} logged in on ${session.tty}`;
    return seen({ kind: 'idle', lastActiveMs: sinceBoot(session.sinceMs), detail });
  }
  const places: Place[] = [`session ${session.uid}/${session.id}`];
  if (session.display !== '') places.push(`display ${session.uid}/${session.display}`);
  if (seat !== '') places.push('seats');
  const what = `${type} session of ${user}${seat === '' ? '' : ` at ${seat}`}`;
  const lastMs = before?.reading.kind === 'idle' ? before.reading.lastActiveMs : nowMs;
  if (session.state !== 'active') {
    return seen({ kind: 'idle', lastActiveMs: lastMs, detail: `${what}, in the background` });
  }
  if (session.idle && session.idleSinceMs > 0) {
    return seen({ kind: 'idle', lastActiveMs: sinceBoot(session.idleSinceMs), detail: what });
  }
  if (session.locked) return seen({ kind: 'idle', lastActiveMs: lastMs, detail: `${what}, locked` });
  const why = `${what}: nothing tells whether anybody acts there (labrun desk helper would)`;
  return seen({ kind: 'unknown', why, places });
}

function isGraphical({ type }: LogindSession): boolean {
  return type === 'x11' || type === 'wayland' || type === 'mir';
}
