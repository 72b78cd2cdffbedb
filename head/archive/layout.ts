import { join } from 'node:path';
import { type AttemptId, type BatchId, parseAttemptId } from '../../base/ids.ts';

/** labrun's own folder, in a batch's folder and in each job's. */
export const ownFolder = '.labrun';

/** Ends the name of a tree that is being made from an event. */
export const inlineSuffix = '.inline';

/** Where a batch's tree is: `replaced` once a newer batch has taken its name. */
export interface BatchPlace {
  readonly namespace: string;
  readonly name: string;
  readonly batchId: BatchId;
  readonly replaced: boolean;
}

/** Where everything lies in the archive. Names were checked where they entered; no path leaves the archive's folder. */
export class ArchiveLayout {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  /** What is on its way in; on the archive's own filesystem, so that a rename makes it part of the tree. */
  get stagingFolder(): string {
    return join(this.root, '.staging');
  }

  staging(attempt: AttemptId): string {
    return join(this.stagingFolder, attempt);
  }

  namespaceFolder(namespace: string): string {
    return join(this.root, namespace);
  }

  batchFolder(place: BatchPlace): string {
    const { namespace, name, batchId, replaced } = place;
    return replaced ? join(this.root, namespace, '.replaced', `${name}.${batchId}`) : join(this.root, namespace, name);
  }

  /** `batch.json`, `jobs.jsonl`, logs of builds, earlier attempts. */
  batchOwn(place: BatchPlace, ...path: readonly string[]): string {
    return join(this.batchFolder(place), ownFolder, ...path);
  }

  jobFolder(place: BatchPlace, job: string): string {
    return join(this.batchFolder(place), job);
  }

  /** Where a job's attempt goes once a later one has ended. */
  earlierAttempt(place: BatchPlace, job: string, attempt: number): string {
    return this.batchOwn(place, 'attempts', `${job}.${attempt}`);
  }

  buildLog(place: BatchPlace, nodeName: string): string {
    return this.batchOwn(place, `build-${nodeName}.log`);
  }
}

/** The attempt a staging folder belongs to, or nothing when the name is no attempt's. */
export function attemptOfStaging(folderName: string): AttemptId | undefined {
  return parseAttemptId(folderName) ? (folderName as AttemptId) : undefined; // it has just been parsed as one
}
