import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { basename } from 'node:path';
import type { Clock, Timer } from '../../base/clock.ts';
import { isSystemError, messageOf } from '../../base/errors.ts';
import { readSmallFile } from '../executor/small-file.ts';
import { hasActivity, peopleDevices } from './input-devices.ts';
import { type Signal, type SignalReading, seen, type Tell } from './signal.ts';
import { WatchedFolder } from './watched-folder.ts';

export interface InputOptions {
  readonly clock: Clock;
  /** Devices to read in place of those the machine has: FIFOs where there is no device. */
  readonly paths?: readonly string[] | undefined;
}

/** After an event no more are read for so long; as long again without one is idle, in milliseconds. */
const quietMs = 5_000;
/** Most devices that are read. */
const devicesMax = 32;
const folder = '/dev/input';
const name = 'input';

/**
 * Keyboards and pointers themselves, where the agent's account may read them (group "input"): sees whoever sits at the
 * machine, whatever desktop runs, also before anybody logs in. That something happened is all that is looked at.
 */
export function inputEvents(options: InputOptions): Signal {
  let watched: InputWatch | undefined;
  return {
    name,
    start(tell) {
      watched = new InputWatch(options, tell);
    },
    close: async () => watched?.close(),
  };
}

interface Reader {
  readonly child: ChildProcess;
  rest: Buffer;
}

class InputWatch {
  readonly #options: InputOptions;
  readonly #tell: Tell;
  readonly #readers = new Map<string, Reader>();
  readonly #folder: WatchedFolder;
  #quietTimer: Timer | undefined;
  #lastActiveMs: number;
  /** The device that was used last. */
  #lastUsed = '';
  /** Whether all keyboards and pointers are read. */
  #sees = false;
  #phase: 'idle' | 'resting' | 'listening' = 'idle';
  #closed = false;

  constructor(options: InputOptions, tell: Tell) {
    this.#options = options;
    this.#tell = tell;
    this.#lastActiveMs = options.clock.sinceBootMs();
    this.#folder = new WatchedFolder(options.clock, folder, () => this.#scan());
    this.#scan();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#quietTimer?.cancel();
    this.#folder.close();
    await Promise.all([...this.#readers.keys()].map((path) => this.#stop(path)));
  }

  #scan(): void {
    try {
      this.#look();
    } catch (error) {
      this.#tell(name, seen({ kind: 'failed', why: messageOf(error) }));
      this.#folder.lookAgain();
    }
  }

  /** Reads what is there now and no more what has gone. */
  #look(): void {
    if (this.#options.paths === undefined) this.#folder.watch();
    const paths = this.#options.paths ?? devicePaths();
    const denied = paths.filter((path) => !mayRead(path));
    const readable = paths.filter((path) => !denied.includes(path)).slice(0, devicesMax);
    for (const path of this.#readers.keys()) if (!readable.includes(path)) void this.#stop(path);
    for (const path of readable) if (!this.#readers.has(path)) this.#start(path);
    if (readable.length === 0) return this.#tell(name, seen(nothing(paths, denied)));
    // What this account can't read is unseen; logind then still says that a desktop is.
    this.#sees = denied.length === 0;
    if (this.#phase === 'idle') this.#tellIdle();
    else this.#tellActive();
  }

  #start(path: string): void {
    // Node would give each device one of its few threads for reading files, for ever.
    const child = spawn('cat', [path], { stdio: ['ignore', 'pipe', 'ignore'], env: { PATH: '/usr/bin:/bin' } });
    const reader: Reader = { child, rest: Buffer.alloc(0) };
    this.#readers.set(path, reader);
    child.stdout?.on('data', (bytes: Buffer) => {
      const { acted, rest } = hasActivity(Buffer.concat([reader.rest, bytes]));
      reader.rest = rest;
      if (acted) this.#acted(path);
    });
    const gone = (why = '') => {
      if (this.#readers.get(path) !== reader) return;
      this.#readers.delete(path);
      // Until it is read again, whoever uses it acts unseen.
      this.#sees = false;
      this.#folder.lookAgain();
      if (!this.#closed) this.#tell(name, seen({ kind: 'failed', why: `nothing reads ${path} any more${why}` }));
    };
    child.once('error', (error) => gone(`: ${messageOf(error)}`));
    child.once('close', () => gone());
    if (this.#phase === 'resting') child.stdout?.pause();
  }

  #stop(path: string): Promise<void> {
    const child = this.#readers.get(path)?.child;
    this.#readers.delete(path);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
    return new Promise((resolve) => {
      child.once('close', () => resolve());
      child.stdout?.resume(); // a pipe that nobody reads does not close
      child.kill();
    });
  }

  /** While somebody acts their events wait in the kernel, which drops those that are too many. */
  #acted(path: string): void {
    if (this.#closed) return;
    const { clock } = this.#options;
    this.#lastActiveMs = clock.sinceBootMs();
    if (this.#phase === 'resting') return;
    this.#lastUsed = basename(path);
    if (this.#phase === 'idle') this.#tellActive();
    this.#phase = 'resting';
    for (const { child } of this.#readers.values()) child.stdout?.pause();
    this.#quietTimer?.cancel();
    this.#quietTimer = clock.setTimer(quietMs, () => this.#listen());
  }

  #listen(): void {
    this.#phase = 'listening';
    this.#quietTimer = this.#options.clock.setTimer(quietMs, () => {
      this.#phase = 'idle';
      this.#tellIdle();
    });
    for (const { child } of this.#readers.values()) child.stdout?.resume();
  }

  #tellActive(): void {
    const reading = { kind: 'active', sinceMs: this.#lastActiveMs, detail: this.#lastUsed } as const;
    this.#tell(name, seen(reading, ...(this.#sees ? (['seats'] as const) : [])));
  }

  #tellIdle(): void {
    const detail = `${this.#readers.size} keyboards and pointers`;
    const reading = { kind: 'idle', lastActiveMs: this.#lastActiveMs, detail } as const;
    this.#tell(name, seen(reading, ...(this.#sees ? (['seats'] as const) : [])));
  }
}

function nothing(paths: readonly string[], denied: readonly string[]): SignalReading {
  if (paths.length === 0) return { kind: 'absent', why: 'no keyboard or pointer is connected' };
  return { kind: 'absent', why: `this account may not read ${denied[0]} (members of group "input" may)` };
}

function devicePaths(): string[] {
  return peopleDevices(readSmallFile('/proc/bus/input/devices') ?? '').map(({ node }) => `${folder}/${node}`);
}

function mayRead(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch (error) {
    if (isSystemError(error, 'EACCES', 'ENOENT', 'EPERM')) return false;
    throw error;
  }
}
