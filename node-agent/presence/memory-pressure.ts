import { readFile } from 'node:fs/promises';
import { isSystemError } from '../../base/errors.ts';
import type { Probe } from './strain.ts';

/**
 * Share of the last ten seconds in which some program waited for memory, in percent, from which on memory is short
 * (pressure stall information: docs/references.md).
 */
const shortFromPercent = 10;

/** Sees whether programs of this machine wait for memory. A kernel without this information never says so. */
export function memoryPressure(file = '/proc/pressure/memory'): Probe {
  return async () => {
    const percent = readPressure(await readOrNothing(file));
    if (percent === undefined || percent < shortFromPercent) return undefined;
    return 'programs wait for memory';
  };
}

/** The short average of "some", in percent; nothing when it is not in the text. */
export function readPressure(text: string): number | undefined {
  const match = /^some avg10=(\d+(?:\.\d+)?) /m.exec(text);
  return match ? Number(match[1]) : undefined;
}

async function readOrNothing(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    // EOPNOTSUPP: built in, and switched off.
    if (isSystemError(error, 'ENOENT', 'EOPNOTSUPP', 'ENOTSUP')) return '';
    throw error;
  }
}
