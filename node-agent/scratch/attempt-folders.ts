import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolderSync } from '../../base/make-folder.ts';

/** The folders of an attempt (or of a build), all below its home. The executor adds `identity`, `exit` and `log`. */
export interface AttemptFolders {
  readonly home: string;
  /** The working directory: the job's own view of the build. */
  readonly work: string;
  /** Its archive: a folder, or a link to where its runtime's jobs put it. */
  readonly archive: string;
  /** `TMPDIR`. */
  readonly tmp: string;
  /** `HOME`. */
  readonly userHome: string;
  /** What the view held before the job started; there only when something asks for what changed. */
  readonly snapshot: string;
}

/** Where an attempt's folders are; makes none. */
export function attemptFolders(home: string): AttemptFolders {
  const inside = (name: string) => join(home, name);
  const [work, archive, tmp, userHome] = [inside('work'), inside('archive'), inside('tmp'), inside('home')];
  return { home, work, archive, tmp, userHome, snapshot: inside('snapshot') };
}

/**
 * Makes home, `tmp` and `HOME`. A `closed` home is entered by nobody else until `giveFolders` opens it: while an agent
 * that is root lays out files, no job of another account may put links in their way.
 */
export function makeAttemptFolders(folders: AttemptFolders, closed: boolean): void {
  makeFolderSync(folders.home);
  if (closed) chmodSync(folders.home, 0o700);
  mkdirSync(folders.tmp);
  mkdirSync(folders.userHome);
}
