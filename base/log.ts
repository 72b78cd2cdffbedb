import { pino } from 'pino';

/** What a service says while it runs: one JSON object a line on standard error. Never secrets, never whole messages. */
export interface Log {
  debug(facts: object, message: string): void;
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

/** The services' log. `level` is one of pino's. */
export function openLog(service: string, level: string): Log {
  return pino({ name: service, level, base: { service } }, pino.destination({ dest: 2, sync: true }));
}
