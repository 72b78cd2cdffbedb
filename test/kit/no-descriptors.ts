import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { onTestFinished } from 'vitest';
import { withSpares } from '../../base/spare-descriptors.ts';

/** Leaves this process no descriptor that it could open, but for its spares, until the test has finished, or `free` is called. */
export function useUpDescriptors(): { free(): void } {
  const before = /Max open files +(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? '1024';
  const taken: number[] = [];
  withSpares(() => 1);
  limitDescriptors(String(Math.max(...readdirSync('/proc/self/fd').map(Number)) + 20));
  const free = () => {
    for (const fd of taken.splice(0)) closeSync(fd);
    limitDescriptors(before);
  };
  onTestFinished(free);
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EMFILE')) throw error;
  }
  return { free };
}

/** The soft limit alone: it can be raised again. */
function limitDescriptors(max: string): void {
  const { status, stderr } = spawnSync('prlimit', ['--pid', String(process.pid), `--nofile=${max}:`], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(stderr);
}
