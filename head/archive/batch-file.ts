import { readFile } from 'node:fs/promises';
import { isSystemError } from '../../base/errors.ts';
import { asContentHash } from '../../base/transfer/hash.ts';
import type { Actor } from '../scheduler/actor.ts';
import type { Submission } from '../scheduler/event.ts';
import type { BlobStore } from './blobs.ts';

/** One submission as `batch.json` tells it. */
export interface SubmittedPart {
  readonly submission: Submission;
  readonly submittedBy: Actor;
  readonly submittedAtMs: number;
}

/** The content of `batch.json` after the id: who submitted what and when, as written and as resolved. */
export async function* batchFileBody(
  blobs: BlobStore,
  batch: { readonly namespace: string; readonly name: string; readonly origin: string },
  parts: readonly SubmittedPart[],
): AsyncGenerator<string | Uint8Array> {
  yield `"namespace":${JSON.stringify(batch.namespace)},"name":${JSON.stringify(batch.name)},`;
  yield `"origin":${JSON.stringify(batch.origin)},"parts":[`;
  for (const [at, { submission, submittedBy, submittedAtMs }] of parts.entries()) {
    const facts = {
      submittedBy: submittedBy.name,
      submittedAt: new Date(submittedAtMs).toISOString(),
      specHash: submission.specHash,
      submitted: await readText(blobs, submission.sourceHash),
    };
    yield `${at > 0 ? ',' : ''}\n${JSON.stringify(facts).slice(0, -1)},"resolved":`;
    const spec = asContentHash(submission.specHash);
    // A spec blob is JSON itself; it was checked when it was submitted.
    yield spec ? await readFile(blobs.pathOf(spec)) : 'null';
    yield '}';
  }
  yield ']}\n';
}

async function readText(blobs: BlobStore, hash: string): Promise<string | null> {
  const checked = asContentHash(hash);
  try {
    return checked ? await readFile(blobs.pathOf(checked), 'utf8') : null;
  } catch (error) {
    // Only for people to read: that it is gone holds nothing up.
    if (isSystemError(error, 'ENOENT')) return null;
    throw error;
  }
}
