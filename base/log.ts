import { pino } from 'pino';
import { harmlessJson } from './harmless.ts';

/** What a service says while it runs: one JSON object a line on standard error. Never secrets, never whole messages. */
export interface Log {
  debug(facts: object, message: string): void;
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

/** The services' log. `level` is one of pino's; `write` gets a line with its end, in place of standard error. */
export function openLog(service: string, level: string, write = toStandardError()): Log {
  // Someone may read it in a terminal, and facts may come from strangers.
  return pino({ name: service, level, base: { service } }, { write: (line) => write(harmlessJson(line)) });
}

function toStandardError(): (line: string) => void {
  const out = pino.destination({ dest: 2, sync: true });
  // It may be a file on a disk that is full: lines are lost then, and a service must not die of that.
  out.on('error', () => undefined);
  return (line) => void out.write(line);
}
