import { dirname, resolve } from 'node:path';
import { watch } from 'chokidar';
import type { Clock, Timer } from '../base/clock.ts';
import type { Log } from '../base/log.ts';

/** An editor writes a file in several steps; this long after the last of them it is read, in milliseconds. */
const settleMs = 200;

/**
 * Calls `changed` when a file is written, replaced, made or removed. Its folder is watched: editors and configuration
 * tools put a new file in the old one's place. Resolves when it watches; `close` ends it.
 */
export async function watchFile(
  path: string,
  ports: { readonly clock: Clock; readonly log: Log },
  changed: () => void,
): Promise<{ close(): Promise<void> }> {
  const file = resolve(path);
  const watcher = watch(dirname(file), { depth: 0, ignoreInitial: true, ignored: (entry) => ignored(entry, file) });
  let timer: Timer | undefined;
  watcher.on('all', () => {
    timer?.cancel();
    timer = ports.clock.setTimer(settleMs, changed);
  });
  watcher.on('error', (error) => ports.log.warn({ error: String(error), path }, 'the configuration is not watched'));
  await new Promise<void>((ready) => watcher.once('ready', ready));
  return {
    async close() {
      timer?.cancel();
      await watcher.close();
    },
  };
}

function ignored(entry: string, file: string): boolean {
  const path = resolve(entry);
  return path !== file && path !== dirname(file);
}
