import { open, rm, stat } from 'node:fs/promises';
import { isSystemError } from '../../base/errors.ts';

/** Room on a disk that is kept to be given up when the disk is full: enough to note how the jobs that filled it end. */
export interface Reserve {
  /** Gives the room up. Answers false when there was none left to give. */
  release(): Promise<boolean>;
  /** Takes room again, if it was given up and there is some. */
  refill(): Promise<void>;
}

/** Bytes kept: many times the largest report of an attempt. */
const reserveBytes = 8 * 2 ** 20;
/** Bytes written at once. */
const pieceBytes = 2 ** 20;

/** Keeps the file `path` filled. A disk that is full at the start has no room to keep, which is no error. */
export async function openReserve(path: string): Promise<Reserve> {
  let isFilled = (await sizeOf(path)) === reserveBytes;
  const reserve: Reserve = {
    async release() {
      const had = isFilled;
      isFilled = false;
      await rm(path, { force: true });
      return had;
    },
    async refill() {
      if (isFilled) return;
      try {
        await fill(path);
        isFilled = true;
      } catch (error) {
        if (!isSystemError(error, 'ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'EMFILE', 'ENFILE')) throw error;
        await rm(path, { force: true });
      }
    },
  };
  await reserve.refill();
  return reserve;
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return 0;
    throw error;
  }
}

/** Written, not only made longer: a hole in a file reserves nothing. */
async function fill(path: string): Promise<void> {
  const file = await open(path, 'w', 0o600);
  try {
    for (let at = 0; at < reserveBytes; at += pieceBytes) await file.write(Buffer.alloc(pieceBytes), 0, pieceBytes, at);
    await file.datasync();
  } finally {
    await file.close();
  }
}
