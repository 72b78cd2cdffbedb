import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { isSystemError, messageOf } from '../../base/errors.ts';
import { readBytes, readDuration } from '../units.ts';
import { check } from './check.ts';
import { ConfigError } from './problems.ts';
import { type IsText, Written } from './written.ts';

/**
 * Reads a settings file, or the defaults where there is none and none was asked for by name. Rejects with one
 * `ConfigError` that lists everything that is wrong.
 */
export async function readSettings<Schema extends z.ZodType>(
  path: string,
  schema: Schema,
  options: { readonly required: boolean; readonly isText?: IsText },
): Promise<z.output<Schema>> {
  const text = await readText(path, options.required);
  const written = new Written(path, text === undefined || isBlank(text) ? '{}' : text, options.isText);
  const settings = written.problems.length === 0 ? check(written, schema) : undefined;
  if (settings === undefined || written.problems.length > 0) throw new ConfigError(written.problems);
  return settings;
}

/** A time as people write it, between two such times; milliseconds. `least` and `most` are checked to be times. */
export function time(least: string, most: string) {
  const message = `expected a time between ${least} and ${most}`;
  const [leastMs = 0, mostMs = 0] = [readDuration(least), readDuration(most)];
  return z.string({ error: message }).transform((written, context) => {
    const ms = readDuration(written);
    if (ms !== undefined && ms >= leastMs && ms <= mostMs) return ms;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });
}

/** An amount as people write it, at least so many; bytes. */
export function amountFrom(least: string) {
  const message = `expected an amount like "512M" or "20G", at least ${least}`;
  const leastBytes = readBytes(least) ?? 0;
  return z.union([z.string(), z.int()], { error: message }).transform((written, context) => {
    const bytes = readBytes(String(written));
    if (bytes !== undefined && bytes >= leastBytes && Number.isSafeInteger(bytes)) return bytes;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });
}

async function readText(path: string, required: boolean): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (!required && isSystemError(error, 'ENOENT')) return undefined;
    const message = `Cannot read the settings: ${messageOf(error)}`;
    throw new ConfigError([{ file: path, line: 1, column: 1, path: '', message }]);
  }
}

/** Only comments and blank lines: every setting is at its default. */
function isBlank(text: string): boolean {
  return text.split('\n').every((line) => /^\s*(#.*)?$/.test(line));
}
