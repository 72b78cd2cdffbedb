import { readFileSync } from 'node:fs';
import { isSystemError } from '../../base/errors.ts';

/** The text of a small file (of /proc, of a control group, of a home); nothing when it is not there any more. */
export function readSmallFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'ESRCH', 'ENODEV')) return undefined;
    throw error;
  }
}
