import type { Clock } from '../../base/clock.ts';
import type { Bus } from './dbus/connection.ts';
import { isMissing, keepBus } from './dbus/keep-bus.ts';
import type { DBusMessage } from './dbus/message.ts';
import type { DBusValue } from './dbus/values.ts';
import { type Place, type Signal, seen, type Tell } from './signal.ts';

export interface MutterOptions {
  readonly clock: Clock;
  readonly uid: number;
  /** The session's bus. */
  readonly busAddress: string;
  readonly sees: readonly Place[];
}

/** After this long without activity Mutter says that the desk is idle, in milliseconds. */
const idleAfterMs = 5_000;
const service = 'org.gnome.Mutter.IdleMonitor';
const monitor = { destination: service, path: '/org/gnome/Mutter/IdleMonitor/Core', interface: service };
const owner = { destination: 'org.freedesktop.DBus', path: '/org/freedesktop/DBus', interface: 'org.freedesktop.DBus' };
const name = 'mutter';

/**
 * GNOME's compositor, under Wayland and X11. It tells once when somebody acts again and once when nobody has for a
 * while; in between it says nothing, however much is typed.
 */
export function mutterIdle(options: MutterOptions): Signal {
  let kept: { close(): Promise<void> } | undefined;
  return {
    name,
    start(tell) {
      const watch = new MutterWatch(options, tell);
      kept = keepBus({
        clock: options.clock,
        address: options.busAddress,
        uid: options.uid,
        opened: (bus) => watch.open(bus),
        signal: (message) => watch.heard(message),
        lost: (why) => watch.lost(why),
      });
    },
    close: async () => kept?.close(),
  };
}

class MutterWatch {
  readonly #options: MutterOptions;
  readonly #tell: Tell;
  #bus: Bus | undefined;
  /** Fires each time nobody has acted for `idleAfterMs`. */
  #idleWatch: DBusValue | undefined;
  /** Fires once, when somebody acts. */
  #activeWatch: DBusValue | undefined;
  /** Signals that came before the answer with their watch's number. */
  #early: DBusValue[] = [];

  constructor(options: MutterOptions, tell: Tell) {
    this.#options = options;
    this.#tell = tell;
  }

  async open(bus: Bus): Promise<void> {
    this.#bus = bus;
    await bus.listen(`type='signal',sender='${service}',interface='${service}',member='WatchFired'`);
    await bus.listen(`type='signal',sender='${owner.destination}',member='NameOwnerChanged',arg0='${service}'`);
    await this.#start(bus);
  }

  async #start(bus: Bus): Promise<void> {
    const [there] = await bus.call({ ...owner, member: 'NameHasOwner', signature: 's', args: [service] });
    if (there === true) await this.#begin(bus);
    else this.#tell(name, seen({ kind: 'absent', why: 'no Mutter runs here' }));
  }

  heard(message: DBusMessage): void {
    const bus = this.#bus;
    if (bus === undefined) return;
    if (message.member === 'NameOwnerChanged') return this.#try(bus, this.#start(bus));
    if (message.member !== 'WatchFired') return;
    const [watch] = message.body();
    if (watch === this.#idleWatch) this.#idle(bus);
    else if (watch === this.#activeWatch) this.#active();
    else if (watch !== undefined) this.#early = [...this.#early.slice(-7), watch];
  }

  lost(why: string): void {
    this.#bus = undefined;
    this.#tell(
      name,
      seen(isMissing(why) ? { kind: 'absent', why: 'no session bus runs here' } : { kind: 'failed', why }),
    );
  }

  async #begin(bus: Bus): Promise<void> {
    this.#early = [];
    this.#activeWatch = undefined;
    const [idleWatch] = await bus.call({ ...monitor, member: 'AddIdleWatch', signature: 't', args: [idleAfterMs] });
    this.#idleWatch = idleWatch;
    const [idleMs] = await bus.call({ ...monitor, member: 'GetIdletime' });
    if (Number(idleMs) < idleAfterMs) return this.#active();
    this.#tellIdle(Number(idleMs));
    await this.#awaitActivity(bus);
  }

  #idle(bus: Bus): void {
    this.#tellIdle(idleAfterMs);
    this.#try(bus, this.#awaitActivity(bus));
  }

  async #awaitActivity(bus: Bus): Promise<void> {
    const [watch] = await bus.call({ ...monitor, member: 'AddUserActiveWatch' });
    this.#activeWatch = watch;
    if (this.#early.some((fired) => fired === watch)) this.#active();
    this.#early = [];
  }

  /** What fails here ends the connection, and that is told. */
  #try(bus: Bus, task: Promise<void>): void {
    task.catch(() => bus.close());
  }

  #active(): void {
    const reading = {
      kind: 'active',
      sinceMs: this.#options.clock.sinceBootMs(),
      detail: 'keyboard or pointer',
    } as const;
    this.#tell(name, seen(reading, ...this.#options.sees));
  }

  #tellIdle(idleMs: number): void {
    const lastActiveMs = this.#options.clock.sinceBootMs() - idleMs;
    this.#tell(name, seen({ kind: 'idle', lastActiveMs, detail: 'keyboard and pointer' }, ...this.#options.sees));
  }
}
