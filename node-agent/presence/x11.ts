import { readFile } from 'node:fs/promises';
import type { Clock, Timer } from '../../base/clock.ts';
import { isSystemError } from '../../base/errors.ts';
import { keepConnected } from './keep-connected.ts';
import { type Place, type Seen, type Signal, seen, type Tell } from './signal.ts';
import { connectX11, type X11Connection } from './x11/connection.ts';
import { type Cookie, findCookie } from './x11/xauthority.ts';

/** One X display. */
export interface X11Options {
  readonly clock: Clock;
  /** Its number, as in ":0". */
  readonly number: string;
  readonly socketPath: string;
  /** The file with the cookie that lets us in. */
  readonly authorityPath: string | undefined;
  readonly host: string;
  /** What it settles, when it can be read and belongs to a screen. */
  readonly sees: readonly Place[];
  /** What to tell while it can't be read. */
  readonly unreadable: (why: string) => Seen;
}

/** While somebody acts the display is asked this often instead of telling each movement of the pointer, in milliseconds. */
const askAgainMs = 5_000;

/** A server that has not said by then what it can do is not waited for, in milliseconds. */
const answerMaxMs = 5_000;

/** Raw events of XInput 2: keys, buttons, movement and touch, pressed or released. */
const rawEvents = [13, 14, 15, 16, 17, 22, 23, 24];
const rawMask = rawEvents.reduce((mask, type) => mask | (1 << type), 0);
const allMasterDevices = 1;

/**
 * Keyboard, pointer and touch of an X display, by XInput 2's raw events: the server tells of the first at once, and says
 * how long nothing was used when asked. Which key or where the pointer is never is looked at.
 */
export function x11Display(options: X11Options): Signal {
  let kept: { close(): Promise<void> } | undefined;
  return {
    name: sourceOf(options.number),
    start(tell) {
      kept = keepConnected(
        options.clock,
        (signal) => live(options, tell, signal),
        (why) => tell(sourceOf(options.number), options.unreadable(why)),
      );
    },
    close: async () => kept?.close(),
  };
}

/** The number of a display of this machine, as `DISPLAY` has it; nothing for one that is elsewhere (`ssh -X`). */
export function localDisplay(display: string | undefined): string | undefined {
  return /^(?:unix)?:(\d+)(?:\.\d+)?$/.exec(display ?? '')?.[1];
}

function sourceOf(number: string): string {
  return `x11 :${number}`;
}

async function live(options: X11Options, tell: Tell, signal: AbortSignal): Promise<string> {
  let watch: DisplayWatch | undefined;
  const late = new AbortController();
  const timer = options.clock.setTimer(answerMaxMs, () => late.abort());
  const heard = (type: number) => {
    if (rawEvents.includes(type)) watch?.acted();
  };
  try {
    const ended = AbortSignal.any([signal, late.signal]);
    const connection = await connectX11(options.socketPath, await readCookie(options), heard, ended);
    try {
      watch = await DisplayWatch.open(options, connection, tell);
      timer.cancel();
      return await connection.closed;
    } finally {
      connection.close();
    }
  } finally {
    timer.cancel();
    watch?.stop();
  }
}

class DisplayWatch {
  readonly #options: X11Options;
  readonly #connection: X11Connection;
  readonly #tell: Tell;
  readonly #screenSaver: number;
  /** Nothing where the server has no XInput 2: then it is asked all the time. */
  readonly #input: number | undefined;
  readonly #sees: readonly Place[];
  #activeSinceMs: number | undefined;
  #timer: Timer | undefined;
  /** Something was used since it last began to look. */
  #heard = false;
  #stopped = false;

  private constructor(
    options: X11Options,
    connection: X11Connection,
    tell: Tell,
    extensions: { screenSaver: number; input: number | undefined; nested: boolean },
  ) {
    this.#options = options;
    this.#connection = connection;
    this.#tell = tell;
    this.#screenSaver = extensions.screenSaver;
    this.#input = extensions.input;
    // Xwayland hears only what goes to its own windows: it knows that somebody acts, never that nobody does.
    this.#sees = extensions.nested ? [] : options.sees;
  }

  static async open(options: X11Options, connection: X11Connection, tell: Tell): Promise<DisplayWatch> {
    const [screenSaver, input, xwayland] = await Promise.all(
      ['MIT-SCREEN-SAVER', 'XInputExtension', 'XWAYLAND'].map((name) => connection.extension(name)),
    );
    if (screenSaver === undefined) throw new Error('the X server cannot tell for how long nobody has used it');
    const events = input !== undefined && (await hasRawEvents(connection, input)) ? input : undefined;
    const nested = xwayland !== undefined;
    const watch = new DisplayWatch(options, connection, tell, { screenSaver, input: events, nested });
    await watch.#look();
    return watch;
  }

  /** An event: says so, and hears no more of them until it looks again. */
  acted(): void {
    this.#heard = true;
    if (this.#stopped || this.#activeSinceMs !== undefined) return;
    this.#select(0);
    this.#active();
    this.#lookLater();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** Listens first and asks then, so that nothing falls in between. */
  async #look(): Promise<void> {
    this.#heard = false;
    this.#select(rawMask);
    const reply = await this.#connection.ask(queryInfo(this.#screenSaver, this.#connection.rootWindow));
    if (this.#stopped) return;
    const idleMs = reply.readUInt32LE(16);
    const nowMs = this.#options.clock.sinceBootMs();
    if (idleMs < askAgainMs || this.#heard) {
      this.#select(0);
      this.#active();
      return this.#lookLater();
    }
    this.#activeSinceMs = undefined;
    const detail = 'keyboard and pointer';
    this.#tell(this.#name, seen({ kind: 'idle', lastActiveMs: nowMs - idleMs, detail }, ...this.#sees));
    if (this.#input === undefined) this.#lookLater();
  }

  #lookLater(): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.setTimer(askAgainMs, () => {
      // The connection ends with what went wrong here, and that is told.
      this.#look().catch(() => this.#connection.close());
    });
  }

  #active(): void {
    if (this.#activeSinceMs !== undefined) return;
    this.#activeSinceMs = this.#options.clock.sinceBootMs();
    const reading = { kind: 'active', sinceMs: this.#activeSinceMs, detail: 'keyboard or pointer' } as const;
    this.#tell(this.#name, seen(reading, ...this.#sees));
  }

  #select(mask: number): void {
    if (this.#input !== undefined) this.#connection.send(selectEvents(this.#input, this.#connection.rootWindow, mask));
  }

  get #name(): string {
    return sourceOf(this.#options.number);
  }
}

/** Version 2.2 has raw events of touch, and tells them also to others than the one that holds a grab. */
async function hasRawEvents(connection: X11Connection, opcode: number): Promise<boolean> {
  const request = Buffer.from([opcode, 47, 0, 0, 2, 0, 2, 0]);
  const reply = await connection.ask(request).catch(() => undefined); // an old server answers with an error
  return reply !== undefined && reply.readUInt16LE(8) * 100 + reply.readUInt16LE(10) >= 202;
}

function selectEvents(opcode: number, window: number, mask: number): Buffer {
  const request = Buffer.alloc(20);
  request.writeUInt8(opcode, 0);
  request.writeUInt8(46, 1);
  request.writeUInt32LE(window, 4);
  request.writeUInt16LE(1, 8); // one mask, of one word
  request.writeUInt16LE(allMasterDevices, 12);
  request.writeUInt16LE(1, 14);
  request.writeUInt32LE(mask >>> 0, 16);
  return request;
}

function queryInfo(opcode: number, window: number): Buffer {
  const request = Buffer.alloc(8);
  request.writeUInt8(opcode, 0);
  request.writeUInt8(1, 1);
  request.writeUInt32LE(window, 4);
  return request;
}

async function readCookie({ authorityPath, number, host }: X11Options): Promise<Cookie | undefined> {
  if (authorityPath === undefined) return undefined;
  try {
    return findCookie(await readFile(authorityPath), number, host);
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'EACCES')) return undefined; // the server may let us in without one
    throw error;
  }
}
