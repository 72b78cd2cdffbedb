import type { ServiceError } from '@grpc/grpc-js';
import { errorFromStatus } from '../base/channel/refusals.ts';
import { readStream, writeTo } from '../base/channel/streams.ts';
import type { ArchivedFile, FileChunk, FileWanted, ReadFilesRequest } from '../proto/gen/labrun/v1/archive.ts';
import type { Selector } from '../proto/gen/labrun/v1/common.ts';
import type { Head } from './connect.ts';

/** What a batch's archive holds, as the head lists it. */
export interface Listing {
  readonly batchId: string;
  readonly namespace: string;
  readonly batch: string;
  readonly files: readonly ArchivedFile[];
}

/** Files asked for in one message. */
const askMax = 1_000;

/** Lists the files of the selected jobs that pass the filters. */
export async function listFiles(
  head: Head,
  selector: Selector,
  include: readonly string[],
  exclude: readonly string[],
): Promise<Listing> {
  const request = { selector, include: [...include], exclude: [...exclude] };
  const files: ArchivedFile[] = [];
  let [batchId, namespace, batch] = ['', selector.namespace || head.user, selector.batch];
  for await (const page of readStream(head.archive.list(request, head.metadata))) {
    ({ batchId, namespace, batch } = page);
    files.push(...page.files);
  }
  return { batchId, namespace, batch, files };
}

/** Reads files in the order asked for, each from its offset; a chunk's `file` counts them from 0. */
export async function* readFiles(
  head: Head,
  batchId: string,
  wanted: readonly FileWanted[],
): AsyncGenerator<FileChunk> {
  const stream = head.archive.read(head.metadata);
  const ask = async (): Promise<void> => {
    for (let at = 0; at < wanted.length; at += askMax) {
      await writeTo<ReadFilesRequest>(stream, { batchId, files: wanted.slice(at, at + askMax) });
    }
    stream.end();
  };
  let problem: unknown;
  const asking = ask().catch((error: unknown) => {
    problem = error; // the stream has ended: its reader hears why, unless it had all it wanted
  });
  try {
    for await (const chunk of stream) yield chunk;
  } catch (error) {
    throw isStatus(error) ? errorFromStatus(error) : error;
  } finally {
    stream.cancel();
    await asking;
  }
  if (problem) throw problem;
}

function isStatus(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'details' in error;
}
