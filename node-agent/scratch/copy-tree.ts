import { constants } from 'node:fs';
import { chmod, copyFile, lstat, mkdir, readdir, readlink, symlink, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../../base/errors.ts';

/** Files that are copied at the same time. */
const atOnceMax = 8;

/**
 * The job's own view of a build: a copy that shares its blocks with the original where the filesystem can (reflink),
 * and is a real copy elsewhere. Never hard links, by which a job would write into the build. Times are kept, so that
 * `make` sees nothing to do; everything becomes writable for its owner. An overlay would be cheaper on filesystems
 * without reflinks, but mounting takes rights an agent does not have everywhere.
 */
export async function copyTree(from: string, to: string, signal: AbortSignal): Promise<void> {
  await mkdir(to, { recursive: true });
  const files: { source: string; target: string }[] = [];
  const folders: { source: string; target: string }[] = [{ source: from, target: to }];
  for (let at = 0; at < folders.length; at++) {
    const folder = folders[at];
    if (folder === undefined) break;
    for (const entry of await readdir(folder.source, { withFileTypes: true })) {
      const source = join(folder.source, entry.name);
      const target = join(folder.target, entry.name);
      if (entry.isDirectory()) {
        await mkdir(target);
        folders.push({ source, target });
      } else if (entry.isSymbolicLink()) await symlink(await readlink(source), target);
      else if (entry.isFile()) files.push({ source, target });
      else throw new Fault('build-invalid', `Cannot lay out the build: "${source}" is neither file, folder nor link`);
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnceMax, files.length) }, () => copyNext(files, signal)));
  // Folders last and from the leaves up: what is put into one changes its time.
  for (const { source, target } of folders.reverse()) {
    const facts = await lstat(source);
    await chmod(target, (facts.mode & 0o7777) | 0o700);
    await utimes(target, facts.atimeMs / 1000, facts.mtimeMs / 1000);
  }
}

async function copyNext(files: { source: string; target: string }[], signal: AbortSignal): Promise<void> {
  for (let next = files.pop(); next !== undefined; next = files.pop()) {
    signal.throwIfAborted();
    const facts = await lstat(next.source);
    await copyFile(next.source, next.target, constants.COPYFILE_FICLONE);
    await chmod(next.target, (facts.mode & 0o7777) | 0o200);
    await utimes(next.target, facts.atimeMs / 1000, facts.mtimeMs / 1000);
  }
}
