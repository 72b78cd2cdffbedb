import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock, Timer } from '../../base/clock.ts';
import { isSystemError, messageOf } from '../../base/errors.ts';
import { remoteMark } from '../executor/terminal.ts';
import { type Signal, type SignalReading, seen } from './signal.ts';
import { namesIn } from './watched-folder.ts';

export interface TerminalOptions {
  readonly clock: Clock;
  /** The wall clock, which the kernel's times of terminals are of: that of an agent does not go along when it is set. */
  wallMs(): number;
  /** Accounts that jobs run as: their terminals are nobody's. */
  readonly jobUids: readonly number[];
  /** Where the terminals are; "/dev". */
  readonly folder: string;
}

/** The kernel tells nobody that a terminal was read: its access time is looked at this often, in milliseconds. */
const lookMs = 5_000;
/** It moves that time on at most this often, in milliseconds. */
const kernelStepMs = 8_000;
/** Most terminals that are looked at, of each sort; of more, those with the lowest numbers. */
const terminalsMax = 256;
const name = 'terminals';
/** In the mode of a file: its group, or anybody, may read it. */
const readableByOthers = 0o044;

/**
 * Terminals that people type into: on the console, in windows, by ssh, in tmux. What was typed moves the access time of
 * a terminal when a program reads it; what programs print moves its other time, which says nothing of a person.
 */
export function terminals(options: TerminalOptions): Signal {
  let timer: Timer | undefined;
  return {
    name,
    start(tell) {
      const looks = new TerminalLooks(options);
      const look = () => {
        tell(name, seen(looks.look()));
        timer = options.clock.setTimer(lookMs, look);
      };
      look();
    },
    async close() {
      timer?.cancel();
    },
  };
}

/** A terminal as it was at the last look. */
interface Known {
  readonly uid: number;
  /** Its access time, on the wall clock. */
  readonly readAtMs: number;
  /** The same since the machine was started; minus infinity when it was not used since. */
  readonly lastActiveMs: number;
}

/** Looks at device files alone, whose times are in memory: no disk is woken. */
class TerminalLooks {
  readonly #options: TerminalOptions;
  /** Consoles and serial lines do not come and go: listed at the first look. */
  #consoles: readonly string[] | undefined;
  #known = new Map<string, Known>();

  constructor(options: TerminalOptions) {
    this.#options = options;
  }

  look(): SignalReading {
    try {
      const { folder, jobUids } = this.#options;
      this.#consoles ??= numbered(folder, /^tty(S|USB|AMA)?[1-9]\d*$|^tty(S|USB|AMA)0$/);
      // The one called "ptmx" is the door to the others and none itself.
      const paths = [...numbered(join(folder, 'pts'), /^\d+$/), ...this.#consoles];
      const before = this.#known;
      this.#known = new Map();
      for (const path of paths) {
        const terminal = this.#lookAt(path, before.get(path));
        if (terminal !== undefined && !jobUids.includes(terminal.uid)) this.#known.set(path, terminal);
      }
      return this.#reading();
    } catch (error) {
      return { kind: 'failed', why: messageOf(error) };
    }
  }

  #reading(): SignalReading {
    let last: readonly [string, Known] | undefined;
    for (const entry of this.#known) {
      if (entry[1].lastActiveMs > (last?.[1].lastActiveMs ?? Number.NEGATIVE_INFINITY)) last = entry;
    }
    if (last === undefined) return { kind: 'absent', why: 'no terminal was used since the start' };
    const [path, { uid, lastActiveMs }] = last;
    return { kind: 'idle', lastActiveMs, detail: `${path} of uid ${uid}` };
  }

  /** A time that has not moved says what it said: setting the clock is nobody's activity. */
  #lookAt(path: string, before: Known | undefined): Known | undefined {
    const stat = statOf(path);
    // Whoever types in a terminal that somebody elsewhere has opened does not sit here.
    if (stat === undefined || (stat.mode & remoteMark) !== 0 || isInstrument(path, stat.mode)) return undefined;
    const { uid, atimeMs: readAtMs } = stat;
    if (before !== undefined && before.readAtMs === readAtMs) return { ...before, uid };
    const nowMs = this.#options.clock.sinceBootMs();
    const ageMs = Math.max(0, this.#options.wallMs() - readAtMs);
    if (before !== undefined) {
      return { uid, readAtMs, lastActiveMs: nowMs - Math.min(ageMs, lookMs + kernelStepMs) };
    }
    // Consoles are made when the machine starts, and nobody has read one whose time is that of its making.
    const untouched = path.includes('/tty') && readAtMs <= stat.birthtimeMs;
    return { uid, readAtMs, lastActiveMs: untouched || ageMs > nowMs ? Number.NEGATIVE_INFINITY : nowMs - ageMs };
  }
}

/**
 * A serial line that programs of a group may read is an instrument's, a modem's, a clock's: something reads it all day, and nobody
 * types there. Whatever lets people log in on one (getty) takes that right away.
 */
function isInstrument(path: string, mode: number): boolean {
  return /tty(S|USB|AMA)\d+$/.test(path) && (mode & readableByOthers) !== 0;
}

/** Entries of a folder that fit, those with low numbers first. */
function numbered(folder: string, fit: RegExp): string[] {
  const entries = namesIn(folder).filter((entry) => fit.test(entry));
  entries.sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  return entries.slice(0, terminalsMax).map((entry) => join(folder, entry));
}

function statOf(path: string) {
  try {
    return statSync(path);
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'EIO', 'ENXIO', 'EACCES')) return undefined; // closed since its folder was read
    throw error;
  }
}
