import { createColors } from 'picocolors';
import { harmless } from './harmless.ts';

/** What a command prints with. In a pipe `width` is absent, nothing is coloured, and nothing is cut. */
export interface Printer {
  /** A line of the answer, on standard output. Text from outside is made harmless here. */
  line(text: string): void;
  /** Bytes of the answer as they are; resolves when the reader takes more. */
  bytes(data: Uint8Array): Promise<void>;
  /** One JSON object on one line. */
  json(value: unknown): void;
  /** A line for people beside the answer, on standard error. */
  note(text: string): void;
  readonly width: number | undefined;
  /** Whether standard error is a terminal that shows progress. */
  readonly progress: boolean;
  readonly colour: ReturnType<typeof createColors>;
}

/** The printer of this process; by itself it has colours in a terminal that can show them. */
export function makePrinter(colour: 'auto' | 'always' | 'never'): Printer {
  const { stdout, stderr, env } = process;
  const dumb = env['TERM'] === 'dumb';
  const colours = colour === 'always' || (colour === 'auto' && stdout.isTTY === true && !dumb);
  return {
    line: (text) => void stdout.write(`${harmless(text)}${text.includes(esc) ? reset : ''}\n`),
    bytes: (data) => writeOut(data),
    json: (value) => void stdout.write(`${JSON.stringify(value)}\n`),
    note: (text) => void stderr.write(`${harmless(text)}\n`),
    width: stdout.isTTY ? Math.max(40, stdout.columns || 80) : undefined,
    progress: stderr.isTTY === true && !dumb,
    colour: createColors(colours),
  };
}

/** Ends any colour that text from outside may have begun. */
const reset = '\x1b[0m';
const esc = '\x1b';

/** A job's or batch's state in its colour. */
export function stateText(print: Printer, state: string): string {
  const { colour } = print;
  switch (state) {
    case 'succeeded':
    case 'connected':
      return colour.green(state);
    case 'failed':
    case 'lapsed':
    case 'unreachable':
      return colour.red(state);
    case 'running':
    case 'building':
    case 'staging':
    case 'archiving':
      return colour.cyan(state);
    case 'held':
    case 'paused':
    case 'cancelling':
    case 'away':
      return colour.yellow(state);
    default:
      return colour.dim(state);
  }
}

/** A moment in the machine's own time zone: `2026-11-21 05:32:19`. */
export function momentText(atMs: bigint | undefined): string {
  if (atMs === undefined || atMs === 0n) return '';
  const at = new Date(Number(atMs));
  const pad = (value: number) => String(value).padStart(2, '0');
  const day = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
  return `${day} ${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
}

/** A moment for scripts: ISO 8601 in UTC, or null. */
export function isoTime(atMs: bigint | undefined): string | null {
  return atMs === undefined || atMs === 0n ? null : new Date(Number(atMs)).toISOString();
}

/** `1 job`, `2 jobs`. */
export function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}

function writeOut(data: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(data, (error) => (error ? reject(error) : resolve()));
  });
}
