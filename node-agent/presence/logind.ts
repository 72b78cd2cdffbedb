import type { Clock, Timer } from '../../base/clock.ts';
import { Fault } from '../../base/errors.ts';
import type { Bus } from './dbus/connection.ts';
import { isMissing, keepBus } from './dbus/keep-bus.ts';
import type { DBusMessage } from './dbus/message.ts';
import { judgeSession, readSession } from './logind-session.ts';
import { type Seen, type Signal, seen, type Tell } from './signal.ts';

/** Where logind is asked. */
export interface LogindOptions {
  readonly clock: Clock;
  /** The wall clock, which logind's times are of: that of an agent does not go along when it is set. */
  wallMs(): number;
  readonly uid: number;
  /** The system's bus; tests have their own. */
  readonly busAddress: string;
}

/** Changes come in groups: sessions are read once for all that come within this time, in milliseconds. */
const settleMs = 100;
/** Most sessions that are read; more than a workstation ever has. */
const sessionsMax = 64;
const logind = 'org.freedesktop.login1';
const name = 'logind';

/**
 * The sessions that logind knows, and what they say of a person. Read again when logind says that one came, went or
 * changed; any account may read them.
 */
export function logindSessions(options: LogindOptions): Signal {
  let watch: SessionWatch | undefined;
  return {
    name,
    start(tell) {
      watch = new SessionWatch(options, tell);
    },
    close: async () => watch?.close(),
  };
}

class SessionWatch {
  readonly #options: LogindOptions;
  readonly #tell: Tell;
  readonly #kept: { close(): Promise<void> };
  /** What each session said last, by its source. */
  readonly #sessions = new Map<string, Seen>();
  #bus: Bus | undefined;
  #timer: Timer | undefined;
  #reading = false;
  #again = false;

  constructor(options: LogindOptions, tell: Tell) {
    this.#options = options;
    this.#tell = tell;
    const { clock, uid, busAddress: address } = options;
    this.#kept = keepBus({
      clock,
      address,
      uid,
      opened: (bus) => this.#opened(bus),
      signal: (message) => this.#heard(message),
      lost: (why) => this.#lost(why),
    });
  }

  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#bus = undefined;
    await this.#kept.close();
    this.#timer?.cancel();
  }

  async #opened(bus: Bus): Promise<void> {
    this.#bus = bus;
    await bus.listen(`type='signal',sender='${logind}',interface='${logind}.Manager'`);
    const changed = "interface='org.freedesktop.DBus.Properties',member='PropertiesChanged'";
    await bus.listen(`type='signal',sender='${logind}',${changed},path_namespace='/org/freedesktop/login1/session'`);
    await this.#read(bus);
  }

  /** What a signal says is not believed but asked for: anybody may send us one. */
  #heard(message: DBusMessage): void {
    const ofSession = message.path.startsWith('/org/freedesktop/login1/session');
    const news = message.member === 'SessionNew' || message.member === 'SessionRemoved' || ofSession;
    if (news && this.#timer === undefined) this.#timer = this.#options.clock.setTimer(settleMs, () => this.#due());
  }

  #due(): void {
    this.#timer = undefined;
    const bus = this.#bus;
    if (bus === undefined) return;
    if (this.#reading) this.#again = true;
    else this.#read(bus).catch(() => bus.close()); // the connection ends with it, and that is told
  }

  async #read(bus: Bus): Promise<void> {
    this.#reading = true;
    try {
      do {
        this.#again = false;
        await this.#readAll(bus);
      } while (this.#again && this.#bus === bus);
    } finally {
      this.#reading = false;
    }
  }

  async #readAll(bus: Bus): Promise<void> {
    const manager = { destination: logind, path: '/org/freedesktop/login1', interface: `${logind}.Manager` };
    const [list] = await bus.call({ ...manager, member: 'ListSessions' });
    const paths = (Array.isArray(list) ? list : []).flatMap((entry) =>
      Array.isArray(entry) ? [String(entry[4])] : [],
    );
    const found = await Promise.all(paths.slice(0, sessionsMax).map((path) => this.#session(bus, path)));
    if (this.#bus !== bus) return;
    const now = new Map(found.flatMap((entry) => (entry === undefined ? [] : [entry])));
    for (const source of this.#sessions.keys()) if (!now.has(source)) this.#tell(source, undefined);
    this.#sessions.clear();
    for (const [source, said] of now) {
      this.#sessions.set(source, said);
      this.#tell(source, said);
    }
    const count = now.size === 1 ? 'one session' : `${now.size === 0 ? 'no' : now.size} sessions`;
    // logind knows the displays that the system starts: a greeter's is nobody's.
    this.#tell(name, seen({ kind: 'absent', why: `${count} of people` }, 'displays'));
  }

  async #session(bus: Bus, path: string): Promise<readonly [string, Seen] | undefined> {
    const properties = { destination: logind, path, interface: 'org.freedesktop.DBus.Properties' };
    const args = [`${logind}.Session`];
    const [values = undefined] = await bus
      .call({ ...properties, member: 'GetAll', signature: 's', args })
      .catch((error) => {
        // A session may end before it is asked: then it is none. One that a slow logind says nothing of is still there.
        if (error instanceof Fault && error.code === 'dbus-error') return [];
        throw error;
      });
    if (!(values instanceof Map)) return undefined;
    const session = readSession(values);
    const source = `${name} session ${session.id}`;
    const { clock, wallMs } = this.#options;
    const said = judgeSession(session, this.#sessions.get(source), clock.sinceBootMs(), wallMs());
    return said && [source, said];
  }

  /** What was known of sessions stays: who sat unseen may still sit there. */
  #lost(why: string): void {
    this.#bus = undefined;
    if (isMissing(why) && this.#sessions.size === 0) {
      return this.#tell(name, seen({ kind: 'absent', why: 'no logind runs here' }));
    }
    this.#tell(name, seen({ kind: 'failed', why: `cannot ask logind: ${why}` }));
  }
}
