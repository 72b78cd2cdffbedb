import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { giving } from '../../base/spare-descriptors.ts';

/** What one thread is told; nothing of what is absent. */
export interface ThreadOrder {
  readonly tid: number;
  readonly io: 'idle' | 'none' | undefined;
  readonly cpus: string | undefined;
}

/** What threads can be told on a machine. */
export interface CanTell {
  readonly io: boolean;
  readonly affinity: boolean;
}

/** Numbers of I/O classes. */
const ioClasses = { idle: 3, none: 0 };

/** Node has no call for either, util-linux has, and is part of every distribution. Threads may be gone: no errors. */
const script = `
while read -r what value tid; do
  case $what in
    io) ionice -c "$value" -p "$tid" ;;
    cpus) taskset -c -p "$value" "$tid" ;;
  esac
done`;

/** Tells threads, in one shell; a millisecond each. Those that are gone or another user's are left as they are. */
export async function tellThreads(orders: readonly ThreadOrder[]): Promise<void> {
  const lines = orders.flatMap(({ tid, io, cpus }) => [
    ...(io === undefined ? [] : [`io ${ioClasses[io]} ${tid}\n`]),
    // Last: whoever keeps to these processors has been told all.
    ...(cpus === undefined ? [] : [`cpus ${cpus} ${tid}\n`]),
  ]);
  if (lines.length > 0) await runShell(script, lines.join(''));
}

/** Which of the two can be told here, as found by telling a shell itself. */
export async function canTell(): Promise<CanTell> {
  const io = await runShell('ionice -c 3 -p $$');
  const affinity = await runShell('taskset -c -p "$(taskset -c -p $$ | sed "s/.*: //")" $$');
  return { io: io === 0, affinity: affinity === 0 };
}

/** The exit status of a shell. */
async function runShell(text: string, input = ''): Promise<number | null> {
  const shell = giving(() =>
    spawn('/bin/sh', ['-c', text], {
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
      stdio: ['pipe', 'ignore', 'ignore'],
    }),
  );
  const ended = once(shell, 'close');
  shell.stdin.on('error', () => {}); // a shell that ended early says so by its status
  shell.stdin.end(input);
  const [status] = await ended;
  return typeof status === 'number' ? status : null;
}
