import type { Clock } from '../../base/clock.ts';
import { keepConnected } from './keep-connected.ts';
import { type Place, type Signal, seen, type Tell } from './signal.ts';
import { connectWayland, type Wayland } from './wayland/connection.ts';

export interface IdleNotifyOptions {
  readonly clock: Clock;
  readonly socketPath: string;
  readonly sees: readonly Place[];
}

/** After this long without activity the compositor says that the desk is idle, in milliseconds. */
const idleAfterMs = 5_000;
/** A compositor that has not told by then what it offers is not waited for, in milliseconds. */
const answerMaxMs = 5_000;
const name = 'wayland';
const detail = 'keyboard, pointer or a film';

/** The two protocols that tell of idle seats, in order of preference: Plasma 5.27 and wlroots 0.16, and what was before. */
const notifiers = [
  { interface: 'ext_idle_notifier_v1', args: (id: number, seat: number) => [id, idleAfterMs, seat], request: 1 },
  { interface: 'org_kde_kwin_idle', args: (id: number, seat: number) => [id, seat, idleAfterMs], request: 0 },
] as const;
/** In both, of an object made for one seat: it is idle; somebody acts again. */
const idledEvent = 0;
const resumedEvent = 1;

/**
 * Wayland compositors of wlroots and KDE. They tell once when nobody has acted for a while, and once when somebody acts
 * again; a film that asks to keep the screen on counts as acting.
 */
export function idleNotify(options: IdleNotifyOptions): Signal {
  let kept: { close(): Promise<void> } | undefined;
  return {
    name,
    start(tell) {
      kept = keepConnected(
        options.clock,
        (signal) => live(options, tell, signal),
        (why) => tell(name, seen({ kind: 'failed', why })),
      );
    },
    close: async () => kept?.close(),
  };
}

async function live(options: IdleNotifyOptions, tell: Tell, signal: AbortSignal): Promise<string> {
  const late = new AbortController();
  const timer = options.clock.setTimer(answerMaxMs, () => late.abort());
  let watched: number | undefined;
  const wayland = await connectWayland(
    options.socketPath,
    ({ object, opcode }) => {
      if (object !== watched) return;
      if (opcode === idledEvent) idle(options, tell);
      if (opcode === resumedEvent) active(options, tell);
    },
    AbortSignal.any([signal, late.signal]),
  ).finally(() => timer.cancel());
  watched = watchSeat(wayland);
  // It counts from now on: should somebody be there already, nothing would be told.
  if (watched !== undefined) active(options, tell);
  else tell(name, seen({ kind: 'absent', why: 'this compositor tells nobody whether its seat is idle' }));
  return wayland.closed;
}

function watchSeat(wayland: Wayland): number | undefined {
  const seat = wayland.globals.get('wl_seat');
  const notifier = notifiers.find((one) => wayland.globals.has(one.interface));
  const global = notifier && wayland.globals.get(notifier.interface);
  if (seat === undefined || notifier === undefined || global === undefined) return undefined;
  const seatId = wayland.bind(seat, 1);
  const notifierId = wayland.bind(global, 1);
  const id = wayland.newId();
  wayland.send(notifierId, notifier.request, ...notifier.args(id, seatId));
  return id;
}

function active({ clock, sees }: IdleNotifyOptions, tell: Tell): void {
  tell(name, seen({ kind: 'active', sinceMs: clock.sinceBootMs(), detail }, ...sees));
}

function idle({ clock, sees }: IdleNotifyOptions, tell: Tell): void {
  tell(name, seen({ kind: 'idle', lastActiveMs: clock.sinceBootMs() - idleAfterMs, detail }, ...sees));
}
