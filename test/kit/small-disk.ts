import { spawnSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statfsSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A filesystem of its own that can be filled, made read-only, and healed. */
export interface SmallDisk {
  readonly folder: string;
  /** Fills it until so many bytes are free. */
  fill(leaveBytes: number): void;
  /** Uses up what it has for names of files. */
  useUpInodes(): void;
  /** Undoes `fill` and `useUpInodes`. */
  free(): void;
  /** Throws while somebody has a file there open for writing. */
  setReadOnly(isReadOnly: boolean): void;
  /**
   * Mounts at a new folder what would be on it after a power cut at this moment: what the kernel has written there, and
   * nothing that it still holds. Nothing for a disk in memory.
   */
  afterPowerCut(folder: string): SmallDisk | undefined;
  /** Takes it away again, also while something on it is open. */
  remove(): void;
}

/** How a small disk is made. */
export interface SmallDiskOptions {
  /** Default: what the filesystem makes of its size. */
  readonly inodes?: number;
}

/** Mounts one in memory at a new folder. Throws where that is not allowed (it takes root). */
export function mountSmallDisk(folder: string, sizeBytes: number, { inodes }: SmallDiskOptions = {}): SmallDisk {
  mkdirSync(folder, { recursive: true });
  const files = inodes === undefined ? '' : `,nr_inodes=${inodes}`;
  run('mount', '-t', 'tmpfs', '-o', `size=${sizeBytes},mode=700${files}`, 'labrun-test', folder);
  return smallDisk(folder, undefined);
}

/** Mounts a true one, ext4 in a file, at a new folder; where there are no loop devices, one in memory. */
export function mountLoopDisk(folder: string, sizeBytes: number, { inodes }: SmallDiskOptions = {}): SmallDisk {
  const image = join(mkdtempSync(join(tmpdir(), 'labrun-image-')), 'disk');
  mkdirSync(folder, { recursive: true });
  try {
    run('truncate', '-s', String(sizeBytes), image);
    run('mkfs.ext4', '-q', '-m', '0', ...(inodes === undefined ? [] : ['-N', String(inodes)]), image);
    run('mount', '-o', 'loop', image, folder);
  } catch {
    removeImage(image);
    return mountSmallDisk(folder, sizeBytes, inodes === undefined ? {} : { inodes });
  }
  // Nothing of labrun's expects this folder, and every walk would meet it.
  rmSync(join(folder, 'lost+found'), { recursive: true });
  return smallDisk(folder, image);
}

/** Answers a word when small disks can be had here, and throws with the reason when not. */
export function trySmallDisk(): string {
  const folder = mkdtempSync(join(tmpdir(), 'labrun-disk-'));
  try {
    mountSmallDisk(folder, 2 ** 20).remove();
    return 'mounted';
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const ballast = '.ballast';
const pieceBytes = 2 ** 20;

function removeImage(image: string): void {
  rmSync(join(image, '..'), { recursive: true, force: true });
}

/** `image`: of a disk that is not in memory. */
function smallDisk(folder: string, image: string | undefined): SmallDisk {
  const remount = (how: 'ro' | 'rw') => run('mount', '-o', `remount,${how}`, folder);
  return {
    folder,
    fill(leaveBytes) {
      mkdirSync(join(folder, ballast), { recursive: true });
      const file = openSync(join(folder, ballast, 'bytes'), 'a');
      const piece = Buffer.alloc(pieceBytes, 1);
      try {
        for (let left = freeOf(folder) - leaveBytes; left > 0; left = freeOf(folder) - leaveBytes)
          writeSync(file, piece, 0, Math.min(left, pieceBytes));
      } catch (error) {
        if (!isFull(error)) throw error;
      } finally {
        closeSync(file);
      }
    },
    useUpInodes() {
      mkdirSync(join(folder, ballast), { recursive: true });
      const from = readdirSync(join(folder, ballast)).length;
      try {
        for (let at = from; ; at++) closeSync(openSync(join(folder, ballast, `name-${at}`), 'w'));
      } catch (error) {
        if (!isFull(error)) throw error;
      }
    },
    free: () => rmSync(join(folder, ballast), { recursive: true, force: true }),
    afterPowerCut(at) {
      if (image === undefined) return undefined;
      const copy = join(mkdtempSync(join(tmpdir(), 'labrun-image-')), 'disk');
      copyFileSync(image, copy);
      mkdirSync(at, { recursive: true });
      run('mount', '-o', 'loop', copy, at);
      return smallDisk(at, copy);
    },
    setReadOnly: (isReadOnly) => remount(isReadOnly ? 'ro' : 'rw'),
    remove() {
      run('umount', '-l', folder);
      if (image !== undefined) removeImage(image);
    },
  };
}

function freeOf(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

function isFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOSPC';
}

function run(...argv: readonly string[]): void {
  const [command = '', ...args] = argv;
  const path = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;
  const { error, status, stderr } = spawnSync(command, args, { encoding: 'utf8', env: { ...process.env, PATH: path } });
  if (error || status !== 0) throw new Error(`"${argv.join(' ')}": ${error?.message ?? stderr.trim()}`);
}
