import { Presets, SingleBar } from 'cli-progress';
import { formatBytes } from '../config/units.ts';
import { oneLine } from './colours.ts';
import type { Printer } from './print.ts';

/** A bar in a terminal; in a pipe nothing, since the lines around it say what matters. */
export interface Progress {
  /** `note` stands behind the bar; it may come from outside. */
  update(done: number, total: number, note?: string): void;
  /** Ends the bar and leaves the cursor on a fresh line. Harmless when called twice. */
  stop(): void;
}

const endings = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Starts a bar on standard error. `unit` is what is counted; bytes are written as people read them. */
export function startProgress(print: Printer, unit: 'jobs' | 'bytes' | 'files', title = ''): Progress {
  if (!print.progress) return { update() {}, stop() {} };
  const text = (value: number) => (unit === 'bytes' ? formatBytes(value) : String(value));
  const bar = new SingleBar(
    {
      format: `${title === '' ? '' : `${title} `}{bar} {done}/{all} ${unit === 'bytes' ? '' : unit}  {note}`,
      hideCursor: true,
      clearOnComplete: true,
      barsize: 24,
      stream: process.stderr,
      fps: 10,
      linewrap: false,
      gracefulExit: false,
    },
    Presets.shades_classic,
  );
  let running = false;
  const stop = () => {
    if (running) bar.stop();
    running = false;
    for (const signal of endings) process.off(signal, leave);
  };
  // Whoever is ended in the middle leaves the terminal as it was: its cursor shown, its lines wrapped.
  const leave = (signal: NodeJS.Signals) => {
    stop();
    // Others who listen do what is to be done; with nobody left, the signal does what it does to every program.
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  };
  return {
    update(done, total, note = '') {
      const payload = { done: text(done), all: text(total), note: oneLine(note) };
      if (!running) {
        for (const signal of endings) process.on(signal, leave);
        bar.start(Math.max(1, total), done, payload);
      } else {
        bar.setTotal(Math.max(1, total));
        bar.update(done, payload);
      }
      running = true;
    },
    stop,
  };
}
