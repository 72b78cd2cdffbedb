import { setMaxListeners } from 'node:events';
import type { Clock } from '../../base/clock.ts';
import { Fault, messageOf, RefusedError } from '../../base/errors.ts';
import { attemptId, type Fence } from '../../base/ids.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import type { KeptFile } from '../../base/transfer/open-kept.ts';
import { keepTrying } from './backoff.ts';
import type { BulkLink, StagedFile } from './bulk-link.ts';
import { putFile } from './put-file.ts';
import type { PutStream } from './put-stream.ts';

/** How files of attempts reach the head. */
export type ArchiveLink = Pick<BulkLink, 'open' | 'staged' | 'room'> & Partial<Pick<BulkLink, 'smallFiles'>>;

/** A complete file of an attempt. */
export interface FileToSend {
  /** On the wire: `archive/…`, `log` or `manifest`. */
  readonly path: string;
  /** Where its bytes are, or they themselves. */
  readonly source: KeptFile | Buffer;
  readonly sizeBytes: number;
  readonly hash: string;
}

/** What sending needs. */
export interface SenderPorts {
  readonly link: ArchiveLink;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Files on their way at once: enough that small ones do not wait for each other's answers. */
const filesAtOnce = 32;

/** Brings one attempt's files to the head's staging. Knows what is there, so that nothing goes twice. */
export class ArchiveSender {
  readonly #ports: SenderPorts;
  readonly #fence: Fence;
  #stream: PutStream | undefined;
  #staged = new Map<string, StagedFile>();
  #asking: Promise<PutStream> | undefined;

  constructor(ports: SenderPorts, fence: Fence) {
    this.#ports = ports;
    this.#fence = fence;
  }

  /**
   * Resolves when all files are verified on the head, however long that takes. Rejects with `Fault` "changed", the
   * head's final refusal, or the signal's reason.
   */
  async send(files: readonly FileToSend[], signal: AbortSignal): Promise<void> {
    const queue = files[Symbol.iterator]();
    const failed = new AbortController();
    const both = AbortSignal.any([signal, failed.signal]);
    // Each lane listens once or twice; that is no leak.
    setMaxListeners(4 * filesAtOnce, both);
    const lane = async () => {
      for (const file of queue) await this.sendOne(file, both);
    };
    const lanes = Array.from({ length: Math.min(filesAtOnce, files.length) }, lane);
    try {
      await Promise.all(lanes);
    } catch (error) {
      failed.abort(error);
      await Promise.allSettled(lanes);
      throw error;
    }
  }

  /** The same for one file; one that is staged as it is now costs nothing. */
  sendOne(file: FileToSend, signal: AbortSignal): Promise<void> {
    const { room } = this.#ports.link;
    return keepTrying(this.#ports, signal, () => room.send(() => this.#sendOnce(file, signal), signal));
  }

  /** Forgets what it knows of these files (of all, when none is named): the head wants them again. */
  unknow(paths: readonly string[]): void {
    if (paths.length === 0) this.#staged.clear();
    for (const path of paths) this.#staged.delete(path);
  }

  /** The log has been sent up to here already. */
  noteLog(sizeBytes: number): void {
    this.#staged.set('log', { sizeBytes, hash: '' });
  }

  async #sendOnce(file: FileToSend, signal: AbortSignal): Promise<void> {
    const stream = await this.#open(signal);
    const staged = this.#staged.get(file.path);
    if (staged?.hash === file.hash) return;
    // What is staged of another content, or is longer than the file, is of no use; a part of it may be.
    const from = staged && staged.hash === '' && staged.sizeBytes <= file.sizeBytes ? staged.sizeBytes : 0;
    const again = () => this.#sayAgain(file);
    if (from === 0 && staged && staged.sizeBytes > 0) again();
    try {
      const target = { $case: 'attempt' as const, value: { ...this.#fence } };
      const { smallFiles } = this.#ports.link;
      await putFile(stream, { target, ...file, smallFiles }, from, signal, again);
    } catch (error) {
      // How far it got before the disk was full, or the job had ended, is asked and not sent again.
      this.#stream = undefined;
      throw error;
    }
    this.#staged.set(file.path, { sizeBytes: file.sizeBytes, hash: file.hash });
  }

  #sayAgain({ path }: FileToSend): void {
    const attempt = attemptId(this.#fence, this.#fence.attempt);
    this.#ports.log.info(
      { attempt, path },
      'a file has changed since a part of it was sent: it is sent from the beginning',
    );
  }

  /** Each new stream begins by asking what has arrived by the ones before. */
  async #open(signal: AbortSignal): Promise<PutStream> {
    const stream = await this.#ports.link.open(signal);
    if (stream === this.#stream) return stream;
    this.#asking ??= this.#ask(stream, signal).finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #ask(stream: PutStream, signal: AbortSignal): Promise<PutStream> {
    try {
      this.#staged = await this.#ports.link.staged({ ...this.#fence }, signal);
    } catch (error) {
      throw unasked(error);
    }
    this.#stream = stream;
    return stream;
  }
}

/**
 * Why the head did not say what it has. That is never about the archive, and all of it can pass, even a clock by which the node's
 * certificate is not valid: in the head's own words it would look like an end that no new try can change.
 */
function unasked(error: unknown): unknown {
  if (!(error instanceof RefusedError) && !(error instanceof Fault)) return error;
  return new Fault('link', `the head does not say what it has: ${messageOf(error)}`, { cause: error });
}
