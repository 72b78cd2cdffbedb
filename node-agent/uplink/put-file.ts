import { Fault } from '../../base/errors.ts';
import { chunksOfBytes, chunksOfKept } from '../../base/transfer/chunk.ts';
import type { KeptFile } from '../../base/transfer/open-kept.ts';
import type { ArchiveAck } from '../../proto/gen/labrun/v1/archive.ts';
import type { PutStream, PutTarget } from './put-stream.ts';
import { refusalOf } from './refusal-of.ts';
import { type SmallFiles, smallFileMaxBytes } from './small-files.ts';

/** A file on its way to the head. */
export interface FileToPut {
  readonly target: PutTarget;
  /** On the wire: `archive/…`, `log`, `manifest`; empty for a build's log. */
  readonly path: string;
  /** Where its bytes are, or they themselves. */
  readonly source: KeptFile | Buffer;
  readonly sizeBytes: number;
  readonly hash: string;
  /** Who reads it when it is small. */
  readonly smallFiles?: Pick<SmallFiles, 'read'> | undefined;
}

/** How often the head may find another hash than ours before we say so. */
const mismatchesMax = 3;

/**
 * Sends a complete file from an offset and resolves once the head has verified it; `again` is called whenever the head
 * wants all of it anew, for what it had was of other content. Rejects with `Fault` "changed" when the file does not hold
 * what it was said to hold, like `openKept` when it is no file of the job any more, with `Fault` "link" when the stream
 * breaks, the head's refusal, or the signal's reason.
 */
export async function putFile(
  stream: PutStream,
  file: FileToPut,
  fromOffset: number,
  signal: AbortSignal,
  again: () => void = () => undefined,
): Promise<void> {
  let offset = fromOffset;
  for (let mismatches = 0; ; mismatches++) {
    const answer = listenForEnd(stream, file, offset, signal);
    // The answer may fail while chunks are still written; it is awaited below all the same.
    answer.ended.catch(() => undefined);
    try {
      await sendFrom(stream, file, offset, answer);
      const goOn = await answer.ended;
      if (goOn === undefined) return;
      if (goOn === 0) again();
      offset = goOn;
    } finally {
      answer.forget();
    }
    if (mismatches >= mismatchesMax) {
      throw new Fault('changed', `Cannot send "${file.path}": it changes while it is sent`);
    }
  }
}

interface EndOfFile {
  /** Nothing when verified, else the offset to go on from. */
  readonly ended: Promise<number | undefined>;
  /** The head has asked to go on elsewhere, or refused: what follows is in vain. */
  readonly over: () => boolean;
  readonly forget: () => void;
}

function listenForEnd(stream: PutStream, file: FileToPut, offset: number, signal: AbortSignal): EndOfFile {
  let lastOffset = offset;
  let over = false;
  let forget = () => {};
  const ended = new Promise<number | undefined>((resolve, reject) => {
    const answer = (ack: ArchiveAck) => {
      const staged = Number(ack.offset);
      if (ack.verified) resolve(undefined);
      else if (ack.refusedCode) reject(refusalOf(ack));
      else if (staged > lastOffset) {
        lastOffset = staged;
        return;
      } else resolve(staged);
      over = true;
    };
    const fail = (error: Error) => {
      over = true;
      reject(error);
    };
    const unlisten = stream.listen(file.target, file.path, answer, fail);
    const abort = () => fail(signal.reason);
    forget = () => {
      unlisten();
      signal.removeEventListener('abort', abort);
    };
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
  return { ended, over: () => over, forget };
}

async function sendFrom(stream: PutStream, file: FileToPut, offset: number, answer: EndOfFile): Promise<void> {
  let at = offset;
  if (at === file.sizeBytes) await stream.write(chunkOf(file, at, Buffer.alloc(0), true));
  for await (const chunk of await chunksOf(file, offset)) {
    if (answer.over()) return;
    const next = at + chunk.data.length;
    await stream.write(chunkOf(file, at, chunk.data, next === file.sizeBytes));
    at = next;
  }
  if (at !== file.sizeBytes) throw changed(file);
}

async function chunksOf({ source, sizeBytes, smallFiles }: FileToPut, offset: number) {
  if (Buffer.isBuffer(source)) return chunksOfBytes(source, offset);
  if (!smallFiles || sizeBytes > smallFileMaxBytes) return chunksOfKept(source, offset, sizeBytes);
  return chunksOfBytes(sizeBytes === 0 ? noBytes : await smallFiles.read(source, sizeBytes), offset);
}

const noBytes = Buffer.alloc(0);

function chunkOf(file: FileToPut, offset: number, data: Buffer, last: boolean) {
  return {
    target: file.target,
    path: file.path,
    offset: BigInt(offset),
    data,
    truncate: offset === 0,
    finalHash: last ? file.hash : '',
  };
}

function changed(file: FileToPut): Fault {
  return new Fault('changed', `Cannot send "${file.path}": it has become shorter since it was looked at`);
}
