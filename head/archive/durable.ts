import { type FileHandle, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Fault, isSystemError, messageOf, RefusedError, refused } from '../../base/errors.ts';
import { makeFolder } from '../../base/make-folder.ts';

/** Makes what a folder lists survive a power cut. */
export async function syncFolder(path: string): Promise<void> {
  await withFile(path, (folder) => folder.sync());
}

/** Makes a file's content survive a power cut. */
export async function syncFile(path: string): Promise<void> {
  await withFile(path, (file) => file.datasync());
}

/** Writes a small file so that it is there whole or not at all, after a power cut too. */
export async function writeDurably(path: string, data: string | Uint8Array, mode = 0o644): Promise<void> {
  await makeFolder(dirname(path));
  const temporary = `${path}.part`;
  const file = await open(temporary, 'w', mode);
  try {
    await file.writeFile(data);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncFolder(dirname(path));
}

/** A disk that takes nothing now is an expected no that says so; anything else the system says is a fault. */
export function diskTrouble(error: unknown, doing: string): Error {
  if (error instanceof RefusedError || error instanceof Fault) return error;
  if (isSystemError(error, 'ENOSPC', 'EDQUOT')) {
    return new RefusedError(refused('disk-full', `Cannot ${doing}: the head's disk is full; make room and try again`));
  }
  if (isSystemError(error, 'EROFS')) {
    return new RefusedError(
      refused('disk-full', `Cannot ${doing}: the head's disk is read-only; make it writable and try again`),
    );
  }
  if (isSystemError(error, 'EMFILE', 'ENFILE', 'ENOMEM')) {
    const what = error.code === 'ENOMEM' ? 'memory' : 'file descriptors';
    return new RefusedError(refused('busy', `Cannot ${doing}: the head is out of ${what}; try again`));
  }
  return new Fault('disk', `Cannot ${doing}: ${messageOf(error)}`, { cause: error });
}

async function withFile(path: string, act: (file: FileHandle) => Promise<void>): Promise<void> {
  const file = await open(path, 'r');
  try {
    await act(file);
  } finally {
    await file.close();
  }
}
