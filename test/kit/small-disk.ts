import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Mounts a filesystem of its own, in memory, at a new folder. Throws where that is not allowed (it takes root). */
export function mountSmallDisk(folder: string, sizeBytes: number): void {
  mkdirSync(folder, { recursive: true });
  run('mount', '-t', 'tmpfs', '-o', `size=${sizeBytes},mode=700`, 'labrun-test', folder);
}

/** Takes it away again, also while something on it is open. */
export function unmountSmallDisk(folder: string): void {
  run('umount', '-l', folder);
}

/** Answers a word when small disks can be had here, and throws with the reason when not. */
export function trySmallDisk(): string {
  const folder = mkdtempSync(join(tmpdir(), 'labrun-disk-'));
  try {
    mountSmallDisk(folder, 2 ** 20);
    unmountSmallDisk(folder);
    return 'mounted';
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function run(...argv: readonly string[]): void {
  const [command = '', ...args] = argv;
  const { error, status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (error || status !== 0) throw new Error(`"${argv.join(' ')}": ${error?.message ?? stderr.trim()}`);
}
