import { closeSync, constants, fstatSync, openSync, readlinkSync, type Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { Fault, isSystemError } from '../errors.ts';

/** An account: who owns a file, or whom one is read for. */
export interface FileOwner {
  readonly uid: number;
  readonly gid: number;
}

/** A file that a job wrote, or may have put something else in the place of. */
export interface KeptFile {
  /** Absolute, with no link on the way: what the kernel itself would call it. */
  readonly path: string;
  /** The account the job ran as, where that is not ours: nothing is read for it that it could not read. */
  readonly owner?: FileOwner | undefined;
}

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY, O_DIRECTORY } = constants;
/** A FIFO or a terminal in the place of a file must neither hold us up nor become ours. */
const readOnly = O_RDONLY | O_NONBLOCK | O_NOCTTY;

/**
 * Opens a file of a job for reading; the caller closes it. Whoever still runs as the job's account may swap anything for
 * anything at any time, so nothing is believed that was seen before: what was opened must be a regular file, under the
 * very path that was meant, and readable for the job. Throws the system's error, or `Fault` "swapped" or "not-yours".
 */
export async function openKept(file: KeptFile): Promise<FileHandle> {
  const handle = await open(file.path, readOnly | O_NOFOLLOW).catch((error: unknown) => {
    throw withName(file.path, error);
  });
  try {
    // Not awaited: each takes a microsecond, and a thread of the pool thirty.
    check(file, handle.fd, fstatSync(handle.fd));
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** The same without waiting, for workers: a descriptor, and what the kernel says of it. */
export function openKeptNow(file: KeptFile): { readonly fd: number; readonly facts: Stats } {
  let fd: number;
  try {
    fd = openSync(file.path, readOnly | O_NOFOLLOW);
  } catch (error) {
    throw withName(file.path, error);
  }
  try {
    const facts = fstatSync(fd);
    check(file, fd, facts);
    return { fd, facts };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/**
 * Opens a file that its reader named, through links if need be, and waits for nobody: a FIFO or a device where a file was
 * a moment ago is an error. Throws the system's error, or `Fault` "no-file".
 */
export async function openNamed(path: string): Promise<FileHandle> {
  const handle = await open(path, readOnly);
  try {
    const facts = fstatSync(handle.fd);
    if (!facts.isFile()) throw new Fault('no-file', `it is ${kindOf(facts)}, no file`);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Opens a folder of a job to look into it, under the same promises. The caller closes the descriptor. */
export function openKeptFolder(path: string): number {
  return openPlace(path, O_RDONLY | O_NOFOLLOW | O_DIRECTORY);
}

/** Opens a file or a folder of a job, to change what is said about it and not what is in it. */
export function openKeptAny(path: string): number {
  return openPlace(path, readOnly | O_NOFOLLOW);
}

function openPlace(path: string, flags: number): number {
  let fd: number;
  try {
    fd = openSync(path, flags);
  } catch (error) {
    throw withName(path, error);
  }
  try {
    checkPlace(path, fd);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Whether a job of this account may read a file (or list a folder) with these facts by itself. */
export function mayRead(owner: FileOwner, facts: Pick<Stats, 'uid' | 'gid' | 'mode'>, isFolder = false): boolean {
  const wanted = isFolder ? 0o5 : 0o4;
  if (facts.uid === owner.uid || (facts.mode & wanted) === wanted) return true;
  return facts.gid === owner.gid && (facts.mode & (wanted << 3)) === wanted << 3;
}

/** What something is that is neither file, folder nor link. */
export function kindOf(facts: Stats): string {
  if (facts.isFIFO()) return 'a FIFO';
  if (facts.isSocket()) return 'a socket';
  if (facts.isDirectory()) return 'a folder';
  return facts.isFile() ? 'a file' : 'a device';
}

function check({ path, owner }: KeptFile, fd: number, facts: Stats): void {
  if (!facts.isFile()) throw new Fault('swapped', `Cannot read "${path}": it is ${kindOf(facts)}, no file`);
  checkPlace(path, fd);
  // A hard link, or a rename out of a folder that others may write: the content is not the job's to give.
  if (owner && !mayRead(owner, facts)) throw notYours(path);
}

function notYours(path: string): Fault {
  return new Fault(
    'not-yours',
    `Cannot read "${path}": it belongs to another account, which does not let jobs read it`,
  );
}

/**
 * O_NOFOLLOW guards the last part of a path only: a folder on the way may have become a link out of the attempt. Node
 * has no `openat2`; but the kernel knows under which path it has found what it opened, and says so here.
 */
function checkPlace(path: string, fd: number): void {
  let real: string;
  try {
    real = readlinkSync(`${descriptors}/${fd}`);
  } catch (error) {
    // No /proc, as on a Mac: there is no runAs either, and the last part is still guarded.
    if (isSystemError(error, 'ENOENT', 'ENOTDIR') && !hasDescriptors()) return;
    throw error;
  }
  if (real === path) return;
  throw new Fault('swapped', `Cannot read "${path}": it was moved, or a folder on the way has become a link`);
}

/** Where the kernel shows what a process has open. */
export const descriptors = '/proc/self/fd';

let known: boolean | undefined;

/** Whether this machine shows what a process has open. */
export function hasDescriptors(): boolean {
  known ??= canRead(descriptors);
  return known;
}

function canRead(folder: string): boolean {
  try {
    closeSync(openSync(folder, O_RDONLY | O_DIRECTORY));
    return true;
  } catch {
    return false; // whatever the reason, it cannot be asked
  }
}

/** What the kernel says to O_NOFOLLOW and a link, and to a socket, is no sentence. */
function withName(path: string, error: unknown): unknown {
  if (isSystemError(error, 'ELOOP')) return new Fault('swapped', `Cannot read "${path}": it is a link, no file`);
  if (isSystemError(error, 'ENXIO'))
    return new Fault('swapped', `Cannot read "${path}": it is a socket or a device, no file`);
  return error;
}
