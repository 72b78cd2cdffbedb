import { describe, expect, it } from 'vitest';
import type { DBusValue } from '../../../node-agent/presence/dbus/values.ts';
import { judgeSession, type LogindSession, readSession } from '../../../node-agent/presence/logind-session.ts';

const nowMs = 1_000_000;
const wallMs = 1_700_000_000_000;

describe('a session of logind', () => {
  it('of a desktop may have somebody unseen before it, at the places it names', () => {
    expect(judge({})?.reading).toMatchObject({
      kind: 'unknown',
      places: ['session 1000/3', 'display 1000/:0', 'seats'],
    });
    const remote = judge({ type: 'wayland', display: '', seat: '', remote: true });
    expect(remote?.reading).toMatchObject({ kind: 'unknown', places: ['session 1000/3'] });
  });

  it('is believed when it says that it is idle', () => {
    const said = judge({ idle: true, idleSinceMs: wallMs - 60_000 });
    expect(said?.reading).toMatchObject({ kind: 'idle', lastActiveMs: nowMs - 60_000 });
    expect(judge({ idle: true, idleSinceMs: 0 })?.reading.kind).toBe('unknown');
  });

  it('that is locked or in the background was used when it became so, and is not used since', () => {
    for (const change of [{ locked: true }, { state: 'online' }]) {
      const first = judge(change);
      expect(first?.reading).toMatchObject({ kind: 'idle', lastActiveMs: nowMs });
      const later = judgeSession(aSession(change), first, nowMs + 9_000, wallMs + 9_000);
      expect(later?.reading).toMatchObject({ kind: 'idle', lastActiveMs: nowMs });
    }
  });

  it('of a terminal counts by its login; one without a terminal not at all', () => {
    const terminal = { type: 'tty', display: '', tty: 'tty2' };
    expect(judge(terminal)?.reading).toMatchObject({ kind: 'idle', lastActiveMs: nowMs - 500_000 });
    expect(judge({ ...terminal, tty: '' })).toBeUndefined();
  });

  it('of a greeter, of background work, or with nothing but leftovers is nobody', () => {
    for (const change of [{ class: 'greeter' }, { class: 'background' }, { state: 'closing' }]) {
      expect(judge(change)).toBeUndefined();
    }
  });

  it('is read from what logind answers, whatever is missing', () => {
    expect(readSession(new Map())).toMatchObject({ id: '', uid: -1, seat: '', locked: false, idleSinceMs: 0 });
    const values = new Map<string, DBusValue>([
      ['Id', '3'],
      ['User', [1000, '/org/freedesktop/login1/user/_1000']],
      ['Seat', ['seat0', '/org/freedesktop/login1/seat/seat0']],
      ['Timestamp', BigInt(wallMs) * 1_000n],
      ['LockedHint', true],
    ]);
    expect(readSession(values)).toMatchObject({ id: '3', uid: 1000, seat: 'seat0', sinceMs: wallMs, locked: true });
  });
});

function aSession(change: Partial<LogindSession>): LogindSession {
  return {
    id: '3',
    user: 'kim',
    uid: 1000,
    class: 'user',
    type: 'x11',
    state: 'active',
    remote: false,
    seat: 'seat0',
    display: ':0',
    tty: '',
    locked: false,
    idle: false,
    idleSinceMs: 0,
    sinceMs: wallMs - 500_000,
    ...change,
  };
}

function judge(change: Partial<LogindSession>) {
  return judgeSession(aSession(change), undefined, nowMs, wallMs);
}
