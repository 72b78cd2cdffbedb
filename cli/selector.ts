import { jobStates } from '../config/job-states.ts';
import type { Selector } from '../proto/gen/labrun/v1/common.ts';
import { usageError } from './exit.ts';

/** The options that every command with a selector takes. */
export interface SelectorOptions {
  readonly state?: readonly string[];
  readonly reason?: readonly string[];
  readonly where?: readonly string[];
}

/**
 * Reads `[namespace/]batch[/job-or-glob]` and its options: one grammar for every command. `a/b` can be read in two
 * ways; both are answered, the likelier first, and whoever calls the head takes the first that exists.
 */
export function readSelector(text: string | undefined, options: SelectorOptions): readonly [Selector, ...Selector[]] {
  const narrow = readNarrowing(options);
  const make = (namespace: string, batch: string, job: string): Selector => ({ namespace, batch, job, ...narrow });
  if (text === undefined || text === '') return [make('', '', '')];
  const parts = text.split('/');
  if (parts.length > 3 || parts.some((part, at) => part === '' && at < parts.length - 1)) {
    throw usageError(`Cannot read the selector "${text}": write [namespace/]batch[/job]`);
  }
  const [first = '', second = '', third = ''] = parts;
  if (isGlob(first)) {
    throw usageError(`Cannot read the selector "${text}": * and ? stand for jobs only, as in batch/${first}`);
  }
  if (parts.length === 3) return [make(first, second, third)];
  if (second === '') return [make('', first, '')];
  if (isGlob(second)) return [make('', first, second)];
  return [make(first, second, ''), make('', first, second)];
}

/** Reads one `AXIS=VALUE`. */
export function readWhere(text: string): { axis: string; value: string } {
  const at = text.indexOf('=');
  if (at < 1) throw usageError(`Cannot read --where "${text}": write AXIS=VALUE, such as --where mesh=fine`);
  return { axis: text.slice(0, at), value: text.slice(at + 1) };
}

function readNarrowing(options: SelectorOptions): Pick<Selector, 'states' | 'reasons' | 'where'> {
  const states = (options.state ?? []).flatMap(listed);
  const unknown = states.find((state) => !jobStates.some((one) => one === state));
  if (unknown !== undefined) {
    throw usageError(`Cannot read --state "${unknown}": a job's state is one of ${jobStates.join(', ')}`);
  }
  return { states, reasons: (options.reason ?? []).flatMap(listed), where: (options.where ?? []).map(readWhere) };
}

function listed(text: string): string[] {
  return text.split(',').filter((part) => part !== '');
}

function isGlob(text: string): boolean {
  return /[*?[{]/.test(text);
}
