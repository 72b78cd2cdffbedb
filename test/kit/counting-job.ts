import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './until.ts';

/**
 * A shell script that starts so many kinds of processes as a job may, each of which counts in a file of its own in its
 * working directory: a loop, a child with a session of its own, and a daemon that forked twice (and where `escapes` is
 * set, cleared its environment).
 */
export function countingScript(escapes = false): string {
  const count = (name: string) => `i=0; while :; do i=$((i+1)); echo $i >${name}.new; mv ${name}.new ${name}; done`;
  return [
    `sh -c '${count('count-child')}' &`,
    `setsid sh -c '${count('count-session')}' &`,
    `${escapes ? 'env -i PATH=/usr/bin:/bin ' : ''}setsid sh -c '(sh -c "${count('count-daemon').replaceAll('$', '\\$')}" &)'`,
    count('count-main'),
  ].join('\n');
}

/** What the processes of a home have counted to, by the names of their files. */
export function counts(home: string): Readonly<Record<string, string>> {
  const files = readdirSync(home).filter((name) => /^count-[a-z0-9-]+$/.test(name));
  return Object.fromEntries(files.map((name) => [name, readFileSync(join(home, name), 'utf8').trim()]));
}

/** Waits until so many processes of a home count, and all have counted further than now. */
export async function countsOn(home: string, processes = 4): Promise<void> {
  const before = counts(home);
  await until(
    () => `${processes} processes count on: ${JSON.stringify([before, counts(home)])}`,
    () => {
      const now = Object.entries(counts(home));
      return now.length >= processes && now.every(([name, count]) => count !== '' && count !== before[name]);
    },
  );
}
