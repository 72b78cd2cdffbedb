import { constants } from 'node:fs';
import { chmod, copyFile, lstat, mkdir, readlink, symlink, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { atOnce } from '../../base/at-once.ts';
import { Fault } from '../../base/errors.ts';
import { makeFolder } from '../../base/make-folder.ts';
import { KeptFolder, textOf } from '../../base/transfer/kept-folder.ts';
import { descriptors, hasDescriptors, openKept } from '../../base/transfer/open-kept.ts';

/** Files that are copied at the same time. */
const atOnceMax = 8;
/** Most entries of a build: their paths are held. */
const entriesMax = 1_000_000;

/**
 * The job's own view of a build: a copy that shares its blocks with the original where the filesystem can (reflink),
 * and is a real copy elsewhere. Never hard links, by which a job would write into the build. Times are kept, so that
 * `make` sees nothing to do; everything becomes writable for its owner. An overlay would be cheaper on filesystems
 * without reflinks, but mounting takes rights an agent does not have everywhere. The build belongs to whom jobs run as, and
 * any of theirs may be changing it: what is copied is opened like everything a job left.
 */
export async function copyTree(from: string, to: string, signal: AbortSignal): Promise<void> {
  await makeFolder(to);
  const files: Copy[] = [];
  const folders: Copy[] = [{ source: from, target: to }];
  for (let at = 0; at < folders.length; at++) {
    const copy = folders[at];
    if (copy === undefined) break;
    const folder = new KeptFolder(copy.source);
    try {
      for (const { name, isFolder } of await folder.list(entriesMax + 1 - files.length)) {
        const found = { source: join(copy.source, plain(name)), target: join(copy.target, plain(name)) };
        const facts = isFolder ? undefined : await lstat(folder.at(name));
        if (facts === undefined) {
          await mkdir(found.target);
          folders.push(found);
        } else if (facts.isSymbolicLink()) await symlink(await readlink(folder.at(name)), found.target);
        else if (facts.isFile()) files.push(found);
        else throw invalid(`"${found.source}" is neither file, folder nor link`);
      }
    } finally {
      folder.close();
    }
    if (files.length + folders.length > entriesMax) throw invalid(`it has over ${entriesMax} files and folders`);
  }
  await atOnce(atOnceMax, files, (file) => copyFileAs(file, signal));
  // Folders last and from the leaves up: what is put into one changes its time.
  for (const { source, target } of folders.reverse()) {
    const facts = await lstat(source);
    await chmod(target, (facts.mode & 0o777) | 0o700);
    await utimes(target, facts.atimeMs / 1000, facts.mtimeMs / 1000);
  }
}

interface Copy {
  readonly source: string;
  readonly target: string;
}

async function copyFileAs(copy: Copy, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const file = await openKept({ path: copy.source });
  try {
    const facts = await file.stat();
    const source = hasDescriptors() ? `${descriptors}/${file.fd}` : copy.source;
    await copyFile(source, copy.target, constants.COPYFILE_FICLONE);
    await chmod(copy.target, (facts.mode & 0o777) | 0o200);
    await utimes(copy.target, facts.atimeMs / 1000, facts.mtimeMs / 1000);
  } finally {
    await file.close();
  }
}

function plain(name: Buffer): string {
  const text = textOf(name);
  if (text === undefined) throw invalid(`the name of "${name.toString('latin1')}" is no UTF-8 text`);
  return text;
}

function invalid(why: string): Fault {
  return new Fault('build-invalid', `Cannot lay out the build: ${why}`);
}
