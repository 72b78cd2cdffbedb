import { background } from '../base/background.ts';
import { call } from '../base/channel/client.ts';
import { readStream } from '../base/channel/streams.ts';
import { delay, systemClock, type Timer } from '../base/clock.ts';
import { Fault, messageOf } from '../base/errors.ts';
import type { DeskState } from '../proto/gen/labrun/v1/desk.ts';
import { deskStatus } from './desk.ts';
import { type Desk, type DeskCommandOptions, deskState, withDesk } from './desk-connect.ts';
import { cutText, deskText } from './desk-text.ts';
import { exitCodes, noMoreWords } from './exit.ts';
import { makePrinter, type Printer } from './print.ts';
import { openScreen, type Screen } from './screen.ts';

const halfHourMs = 1_800_000n;
/** Ages of jobs go on though nothing happens, in milliseconds. */
const redrawMs = 1_000;
/** Between two tries to reach an agent that is away, in milliseconds. */
const againMs = 2_000;
const keyWords = ['p pause 30 min', 't until tomorrow', 'l until I leave', 'r go on', 'q quit'];

/** A small live screen for whoever sits at this machine; its state once in a pipe, and where nothing can be painted. */
export async function deskLive(words: readonly string[], options: DeskCommandOptions, print: Printer): Promise<number> {
  noMoreWords('labrun desk', words, ['status', 'policy', 'helper']);
  if (options.json || print.width === undefined || !print.paints) return deskStatus(words, options, print);
  return new LiveDesk(options, print).show();
}

class LiveDesk {
  readonly #options: DeskCommandOptions;
  readonly #print: Printer;
  readonly #leave = new AbortController();
  /** The agent, while it is there. */
  #desk: Desk | undefined;
  #state: DeskState | undefined;
  /** When that was so: what is stopped goes on being so though nothing happens. */
  #stateAtMs = 0;
  /** What came of the last key, or why there is no agent. */
  #news: { readonly text: string; readonly isBad: boolean } | undefined;

  #screen: Screen | undefined;
  #timer: Timer | undefined;

  constructor(options: DeskCommandOptions, print: Printer) {
    this.#options = options;
    this.#print = print;
  }

  /** Until the person leaves; an agent that restarts is waited for. Rejects where there is none from the start. */
  async show(): Promise<number> {
    process.once('SIGTERM', () => this.#close());
    try {
      while (!this.#leave.signal.aborted) await this.#follow();
    } finally {
      this.#timer?.cancel();
      this.#screen?.close();
    }
    return exitCodes.done;
  }

  /** Shows what one agent says, until it is gone or the person is. */
  async #follow(): Promise<void> {
    const { signal } = this.#leave;
    try {
      await withDesk(this.#options, async (desk) => {
        const { client, prove } = desk;
        await deskState(desk); // to follow has no end: that an agent does not answer is told here
        for await (const state of readStream(client.watch({ follow: true }, prove()), signal)) {
          if (this.#desk === undefined) this.#news = undefined;
          this.#desk = desk;
          this.#take(state);
          if (this.#screen === undefined) this.#open();
          this.#draw();
        }
      });
    } catch (error) {
      if (signal.aborted) return;
      // Where there never was an agent, that is all there is to say.
      if (!(error instanceof Fault) || this.#screen === undefined) throw error;
      this.#news = { text: error.message, isBad: true };
    } finally {
      this.#desk = undefined;
    }
    this.#draw();
    await delay(systemClock, againMs, signal).catch(() => undefined); // only the person's leaving ends it early
  }

  /** Takes the terminal, once there is something to show and somebody to tell of keys. */
  #open(): void {
    this.#screen = openScreen(
      (key) => this.#press(key),
      () => this.#draw(),
    );
    const tick = () => {
      this.#draw();
      this.#timer = systemClock.setTimer(redrawMs, tick);
    };
    tick();
  }

  #close(): void {
    this.#leave.abort(new Error('the screen was closed'));
  }

  #draw(): void {
    this.#screen?.draw(this.#lines(), keyWords);
  }

  #take(state: DeskState): void {
    this.#state = state;
    this.#stateAtMs = systemClock.monotonicMs();
  }

  #lines(): readonly string[] {
    // The width of the window may be another one now.
    const print = { ...this.#print, width: makePrinter('never').width };
    if (this.#state === undefined) return [];
    const sinceMs = BigInt(Math.round(systemClock.monotonicMs() - this.#stateAtMs));
    const jobs = this.#state.jobs.map((job) =>
      job.state === 'paused' ? { ...job, pausedMs: job.pausedMs + sinceMs } : job,
    );
    const [first = '', ...rest] = deskText({ ...this.#state, jobs }, print);
    const news = this.#news;
    return [first, ...(news ? [news.isBad ? print.colour.red(news.text) : news.text] : []), ...rest];
  }

  #press(key: string): void {
    if (key === 'q') return this.#close();
    const wish = wishes[key];
    const desk = this.#desk;
    if (wish !== undefined && desk !== undefined) background(this.#ask(() => wish(desk), key));
  }

  async #ask(wish: () => Promise<DeskState>, key: string): Promise<void> {
    try {
      const state = await wish();
      this.#take(state);
      const cut = key === 't' ? cutText(state) : undefined;
      this.#news = cut === undefined ? undefined : { text: cut, isBad: false };
    } catch (error) {
      this.#news = { text: messageOf(error), isBad: true };
    }
    this.#draw();
  }
}

/** What keys ask the agent for. */
const wishes: Readonly<Record<string, (desk: Desk) => Promise<DeskState>>> = {
  p: (desk) => pause(desk, { forMs: halfHourMs, until: '' }),
  t: (desk) => pause(desk, { until: 'tomorrow' }),
  l: (desk) => pause(desk, { until: 'away' }),
  r: ({ client, prove }) => call(client, client.resume, { all: false }, { metadata: prove() }),
};

function pause({ client, prove }: Desk, wish: { readonly forMs?: bigint; readonly until: string }): Promise<DeskState> {
  return call(client, client.pause, { ...wish, reason: '' }, { metadata: prove() });
}
