import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Fault, isSystemError, RefusedError, refused } from '../base/errors.ts';
import { nameProblem } from '../base/names.ts';
import { readBatchName } from '../config/batch-name.ts';
import { formatBytes } from '../config/units.ts';
import type { Selector } from '../proto/gen/labrun/v1/common.ts';
import { again } from './again.ts';
import { callerName, chooseSelector, type Head, type HeadOptions, withHead } from './connect.ts';
import { exitCodeOf, exitCodes, usageError } from './exit.ts';
import { findJobFile } from './job-file.ts';
import { writeJobsTable } from './jobs-csv.ts';
import { counted, type Printer } from './print.ts';
import { startProgress } from './progress.ts';
import { fetchFiles, planPull } from './pull-files.ts';
import { listFiles } from './read-files.ts';
import { readSelector, type SelectorOptions } from './selector.ts';

/** What `pull` can be told. */
export interface PullOptions extends HeadOptions, SelectorOptions {
  readonly to?: string;
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/**
 * Brings results here: `DIR/<batch>/<job>/…` and `DIR/<batch>/jobs.csv`. What is here already with the right content is
 * left alone, what was interrupted goes on where it was, and every file is checked before it gets its name.
 */
export async function pull([what]: readonly string[], options: PullOptions, print: Printer): Promise<number> {
  const choices = await choicesFor(what, options);
  return withHead(options, async (head) => {
    const selector = await chooseArchive(head, choices);
    try {
      return await again(print, (heard) => pullOnce(head, selector, options, print, heard));
    } catch (error) {
      if (exitCodeOf(error) === exitCodes.notFound && isFolder(what)) throw folderError(what);
      throw error;
    }
  });
}

async function pullOnce(
  head: Head,
  selector: Selector,
  options: PullOptions,
  print: Printer,
  heard: () => void,
): Promise<number> {
  const listing = await listFiles(head, selector, options.include ?? [], options.exclude ?? []);
  heard();
  const wrong = nameProblem(listing.batch); // it becomes a folder, so the head's word is checked like a stranger's
  if (wrong !== undefined)
    throw new RefusedError(refused('invalid', `Cannot pull the batch "${listing.batch}": its name ${wrong}`));
  const root = join(resolve(options.to ?? '.'), listing.batch);
  const plan = await planPull(root, listing.files);
  const summary = {
    namespace: listing.namespace,
    name: listing.batch,
    folder: root,
    files: plan.wanted.length,
    bytes: plan.bytes,
    unchanged: plan.unchanged,
  };
  if (options.dryRun) {
    if (options.json) print.json({ ...summary, dryRun: true });
    else for (const { file } of plan.wanted) print.line(`${file.job}/${file.path}\t${formatBytes(Number(file.size))}`);
    if (!options.json)
      print.note(
        `Would fetch ${counted(plan.wanted.length, 'file')}, ${formatBytes(plan.bytes)}; ${plan.unchanged} are here already`,
      );
    return exitCodes.done;
  }
  const progress = startProgress(print, 'bytes', 'pulling');
  const fetched = (done: number, total: number, job: string) => {
    heard();
    progress.update(done, total, job);
  };
  try {
    await fetchFiles(head, listing.batchId, plan, fetched, (line) => print.note(line));
    if (listing.batchId !== '') await writeJobsTable(head, selector, join(root, 'jobs.csv'));
  } catch (error) {
    throw isSystemError(error, ...diskCodes) ? diskFault(root, error) : error;
  } finally {
    progress.stop();
  }
  if (options.json) print.json(summary);
  else
    print.line(
      `${root}: ${counted(plan.wanted.length, 'file')} fetched (${formatBytes(plan.bytes)}), ${plan.unchanged} unchanged`,
    );
  return exitCodes.done;
}

/** What a disk says that takes no more. */
const diskCodes = ['ENOSPC', 'EDQUOT', 'EROFS', 'EFBIG', 'EIO'];

function diskFault(root: string, cause: NodeJS.ErrnoException): Fault {
  const next = 'make room there, or pull --to another folder; what has arrived stays, and is not fetched again';
  return new Fault('disk', `Cannot write into "${root}": ${cause.message}; ${next}`, { cause });
}

/** A file that is there names its batch; anything else is a selector, also a folder: an earlier pull left one. */
async function choicesFor(what: string | undefined, options: PullOptions): Promise<readonly [Selector, ...Selector[]]> {
  if (isFolder(what) && !selectorLike.test(what)) throw folderError(what);
  if (what !== undefined && (isFolder(what) || !statSync(what, { throwIfNoEntry: false })))
    return readSelector(what, options);
  const [narrow] = readSelector('', options);
  const { namespace, name } = await readBatchName(findJobFile(what), await callerName());
  return [{ ...narrow, namespace, batch: name }];
}

/** What can be a selector at all, and no path such as `.`, `../heat` or `/tmp/heat`. */
const selectorLike = /^[^./]/;

function isFolder(what: string | undefined): what is string {
  return what !== undefined && statSync(what, { throwIfNoEntry: false })?.isDirectory() === true;
}

function folderError(what: string): RefusedError {
  return usageError(
    `Cannot pull "${what}": it is a folder, and there is no batch of that name; name a batch, or a job file such as "${join(what, 'labrun.yaml')}"`,
  );
}

/** Directories that labrun did not write have no batch, but can be pulled: the only reading is left as it is. */
async function chooseArchive(head: Head, choices: readonly [Selector, ...Selector[]]): Promise<Selector> {
  try {
    return await chooseSelector(head, choices);
  } catch (error) {
    if (exitCodeOf(error) === exitCodes.notFound) return choices[0];
    throw error;
  }
}
