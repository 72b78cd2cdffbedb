import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A wall clock of its own for the processes that get its environment; their monotonic time and time since boot are the machine's. */
export interface FakeClock {
  readonly env: Readonly<Record<string, string>>;
  /** Sets the clock this far from the real one, in seconds: for those that run already, too. */
  jump(offsetS: number): void;
}

/** A clock that goes right until it is told to jump. `file` is its own. */
export function fakeClock(file: string): FakeClock {
  const jump = (offsetS: number) => writeFileSync(file, `${offsetS < 0 ? '-' : '+'}${Math.abs(offsetS)}\n`);
  jump(0);
  const { FAKETIME: _, ...env } = fakeTime('');
  return { env: { ...env, FAKETIME_TIMESTAMP_FILE: file }, jump };
}

/** The environment in which a program believes that it is then (libfaketime's own words). */
export function fakeTime(when: string): Record<string, string> {
  return { LD_PRELOAD: library(), FAKETIME: when, FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' };
}

/** Debian has it in a folder of the architecture. Empty where it is not installed: then nothing is faked. */
function library(): string {
  const found = readdirSync('/usr/lib').map((folder) => join('/usr/lib', folder, 'faketime/libfaketimeMT.so.1'));
  return found.find((path) => existsSync(path)) ?? '';
}
