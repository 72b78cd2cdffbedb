import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import { type Place, type Seen, type Signal, seen, type Tell } from './signal.ts';
import { namesIn, WatchedFolder } from './watched-folder.ts';
import { x11Display } from './x11.ts';

export interface DisplaysOptions {
  readonly clock: Clock;
  /** Where X servers have their sockets; "/tmp/.X11-unix". */
  readonly folder: string;
  /** The account that looks, and those that jobs run as: a job's display is nobody's. */
  readonly uid: number;
  readonly jobUids: readonly number[];
  /** The file with this account's cookies. */
  readonly authorityPath: string | undefined;
  readonly host: string;
}

/** Most displays that are watched. */
const displaysMax = 32;
/** Accounts of people, by number; others belong to the system. */
const peopleFromUid = 1_000;
const peopleToUid = 60_000;
const name = 'displays';

/**
 * The X displays of this machine, whoever runs them: VNC and remote desktops, too, of which logind may know nothing.
 * One this account can't read may have a person before it.
 */
export function displays(options: DisplaysOptions): Signal {
  let watched: DisplaysWatch | undefined;
  return {
    name,
    start(tell) {
      watched = new DisplaysWatch(options, tell);
    },
    close: async () => watched?.close(),
  };
}

/** A display by its number, and who runs it. */
interface Found {
  readonly number: string;
  readonly uid: number;
}

class DisplaysWatch {
  readonly #options: DisplaysOptions;
  readonly #tell: Tell;
  readonly #signals = new Map<string, Signal>();
  readonly #folder: WatchedFolder;

  constructor(options: DisplaysOptions, tell: Tell) {
    this.#options = options;
    this.#tell = tell;
    this.#folder = new WatchedFolder(options.clock, options.folder, () => this.#scan());
    this.#scan();
  }

  async close(): Promise<void> {
    this.#folder.close();
    await Promise.all([...this.#signals.values()].map((signal) => signal.close()));
  }

  #scan(): void {
    try {
      this.#folder.watch();
      const found = this.#found();
      for (const key of this.#signals.keys()) if (!found.has(key)) this.#stop(key);
      for (const [key, display] of found) if (!this.#signals.has(key)) this.#start(key, display);
      const count = found.size === 0 ? 'no X display' : found.size === 1 ? 'one X display' : `${found.size} X displays`;
      this.#tell(name, seen({ kind: 'absent', why: count }));
    } catch (error) {
      this.#tell(name, seen({ kind: 'failed', why: messageOf(error) }));
      this.#folder.lookAgain();
    }
  }

  /** By number and owner: another's server on the same number is another display. */
  #found(): Map<string, Found> {
    const { folder, jobUids } = this.#options;
    const found = new Map<string, Found>();
    for (const entry of namesIn(folder)) {
      const number = /^X(\d{1,5})$/.exec(entry)?.[1];
      const uid = number === undefined ? undefined : ownerOf(join(folder, entry));
      if (number === undefined || uid === undefined || jobUids.includes(uid)) continue;
      if (found.size < displaysMax) found.set(`${number} ${uid}`, { number, uid });
    }
    return found;
  }

  #unreadable(number: string, uid: number, why: string): Seen {
    if (/ECONNREFUSED|ENOENT/.test(why)) return seen({ kind: 'absent', why: 'its server has gone' });
    const places: Place[] = [`display ${uid}/:${number}`];
    // A greeter's is nobody's; this account's own, and one that the system runs for a person, are a session of logind's.
    const ofPerson = uid >= peopleFromUid && uid < peopleToUid && uid !== this.#options.uid;
    if (!ofPerson) places.push('displays');
    return seen({ kind: 'unknown', why: `of uid ${uid}, cannot be read (labrun desk helper would): ${why}`, places });
  }

  #start(key: string, { number, uid }: Found): void {
    const { clock, folder, authorityPath, host } = this.#options;
    const unreadable = (why: string) => this.#unreadable(number, uid, why);
    const where = { number, socketPath: join(folder, `X${number}`), authorityPath, host };
    const signal = x11Display({ clock, ...where, sees: [`display ${uid}/:${number}`], unreadable });
    this.#signals.set(key, signal);
    this.#tell(signal.name, unreadable('has not answered yet'));
    signal.start((source, said) => {
      if (this.#signals.get(key) === signal) this.#tell(source, said);
    });
  }

  #stop(key: string): void {
    const signal = this.#signals.get(key);
    this.#signals.delete(key);
    if (signal === undefined) return;
    this.#tell(signal.name, undefined);
    void signal.close(); // `x11Display` never rejects there, and tells nothing from here on
  }
}

/** Whose socket it is; nothing when it is none, or gone. */
function ownerOf(path: string): number | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat?.isSocket() ? stat.uid : undefined;
}
