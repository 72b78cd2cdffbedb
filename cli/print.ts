import { type Colours, makeColours } from './colours.ts';
import { writeBytes, writeJson, writeJsonLine, writeLine, writeNote, writeText } from './terminal.ts';

/**
 * What a command prints with. In a pipe `width` is absent, nothing is coloured, and nothing is cut. Text from outside
 * is made harmless on its way; only `colour` can colour it.
 */
export interface Printer {
  /** A line of the answer, on standard output. */
  line(text: string): void;
  /** Lines of a long answer; resolves when the reader takes more. */
  lines(lines: readonly string[]): Promise<void>;
  /** Bytes of the answer: in a pipe as they are, in a terminal as harmless text. Resolves when the reader takes more. */
  bytes(data: Uint8Array): Promise<void>;
  /** One JSON object on one line. */
  json(value: unknown): void;
  /** A part of a JSON object too long for one string; resolves when the reader takes more. */
  jsonPart(text: string): Promise<void>;
  /** A line for people beside the answer, on standard error. */
  note(text: string): void;
  readonly width: number | undefined;
  /** Whether standard output is a terminal whose cursor can be moved. */
  readonly paints: boolean;
  /** Whether standard error is a terminal that shows progress. */
  readonly progress: boolean;
  readonly colour: Colours;
}

/** The printer of this process; by itself it has colours in a terminal that can show them. */
export function makePrinter(colour: 'auto' | 'always' | 'never'): Printer {
  const { stdout, stderr, env } = process;
  const dumb = env['TERM'] === 'dumb';
  const colours = colour === 'always' || (colour === 'auto' && stdout.isTTY === true && !dumb);
  const decoder = new TextDecoder();
  return {
    line: writeLine,
    lines: (lines) => writeText(lines.map((line) => `${line}\n`).join('')),
    bytes: (data) => writeBytes(data, decoder),
    json: (value) => writeJsonLine(JSON.stringify(value)),
    jsonPart: writeJson,
    note: writeNote,
    width: stdout.isTTY ? Math.max(40, stdout.columns || 80) : undefined,
    paints: stdout.isTTY === true && !dumb,
    progress: stderr.isTTY === true && !dumb,
    colour: makeColours(colours),
  };
}

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
    case 'quarantined':
    case 'troubled':
      return colour.red(state);
    case 'running':
    case 'building':
    case 'staging':
    case 'archiving':
      return colour.cyan(state);
    case 'held':
    case 'paused':
    case 'cancelling':
    case 'drained':
    case 'asleep':
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
