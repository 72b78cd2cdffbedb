import { lstat, mkdir, realpath } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { Fault, isSystemError } from '../../base/errors.ts';

/**
 * Where a path below `root` really is: a build, or an input before it, may have made links on the way. Nothing when there
 * is nothing. Throws `Fault` (`invalid-input`) when it leads out of `root`, which has no link on the way itself.
 */
export async function realInside(root: string, path: string): Promise<string | undefined> {
  try {
    return checked(root, path, await realpath(path));
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined;
    throw error;
  }
}

/**
 * Makes a folder below `root`, and those above it, and answers where it really is. Goes through links, but not out of
 * `root`: throws `Fault` (`invalid-input`) then, and when a file is in the way.
 */
export async function makeInside(root: string, folder: string): Promise<string> {
  let at = root;
  for (const part of relative(root, folder).split('/').filter(Boolean)) {
    at = join(at, part);
    const facts = await madeOrThere(at);
    if (facts === undefined || facts.isDirectory()) continue;
    const real = facts.isSymbolicLink() ? await realInside(root, at) : undefined;
    if (real === undefined || !(await lstat(real)).isDirectory()) {
      throw new Fault('invalid-input', `Cannot make the folder "${relative(root, folder)}": "${part}" is no folder`);
    }
    at = real;
  }
  return at;
}

/** What was there before; nothing when it has just been made. */
async function madeOrThere(folder: string) {
  try {
    await mkdir(folder);
    return undefined;
  } catch (error) {
    if (isSystemError(error, 'EEXIST')) return lstat(folder);
    throw error;
  }
}

function checked(root: string, path: string, real: string): string {
  if (real === root || real.startsWith(`${root}/`)) return real;
  throw new Fault(
    'invalid-input',
    `Cannot use "${relative(root, path)}": a link on the way leads out of the job's folder`,
  );
}
