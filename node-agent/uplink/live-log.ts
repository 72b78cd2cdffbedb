import { type FSWatcher, lstatSync, watch } from 'node:fs';
import type { Clock, Timer } from '../../base/clock.ts';
import { Fault, isSystemError } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { chunksOfKept } from '../../base/transfer/chunk.ts';
import type { ArchiveAck } from '../../proto/gen/labrun/v1/archive.ts';
import { isHollowLog } from '../scratch/unbacked.ts';
import { keepTrying } from './backoff.ts';
import type { BulkLink } from './bulk-link.ts';
import type { PutStream, PutTarget } from './put-stream.ts';
import { refusalOf } from './refusal-of.ts';
import { Wake } from './wake.ts';

/** What a log needs to travel. */
export interface LiveLogPorts {
  readonly link: Pick<BulkLink, 'open' | 'staged'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly target: PutTarget;
  /** On the wire. */
  readonly path: string;
  /** The file that grows; no link is on the way to it. */
  readonly source: string;
}

/** A chatty job's lines are gathered for this long, in milliseconds. */
const gatherMs = 100;

/** Sends a log's lines while it is written. Woken by the kernel, never by looking. */
export class LiveLog {
  readonly #ports: LiveLogPorts;
  readonly #wake = new Wake();
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #timer: Timer | undefined;
  #offset = 0;

  constructor(ports: LiveLogPorts) {
    this.#ports = ports;
    this.#running = this.#run();
  }

  /** Ends it; resolves with how many bytes were sent, from which the complete file may go on. */
  async close(): Promise<number> {
    this.#stop.abort(new Error('the log is complete'));
    this.#wake.now();
    await this.#running;
    return this.#offset;
  }

  async #run(): Promise<void> {
    const signal = this.#stop.signal;
    const watcher = this.#watch();
    try {
      await keepTrying(this.#ports, signal, () => this.#follow(signal));
    } catch (error) {
      // The final sweep sends the whole log in any case; a live view is all that is missing.
      if (!signal.aborted) this.#ports.log.warn({ error: String(error) }, 'a log does not travel live');
    } finally {
      watcher?.close();
      this.#timer?.cancel();
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { link, target, path } = this.#ports;
    const stream = await link.open(signal);
    const known = target.$case === 'attempt' ? await link.staged(target.value, signal) : undefined;
    this.#offset = known?.get(path)?.sizeBytes ?? 0;
    let answered = this.#offset;
    let failure: Error | undefined;
    const fail = (error: Error) => {
      failure = error;
      this.#wake.now();
    };
    const answer = (ack: ArchiveAck) => {
      // It says nothing of what the head has: that is asked when it takes files again.
      if (ack.refusedCode !== '') return fail(refusalOf(ack));
      const staged = Number(ack.offset);
      // Going back means that the head has lost or never had what came before.
      if (staged < answered) this.#offset = staged;
      answered = staged;
    };
    const forget = stream.listen(target, path, answer, fail);
    try {
      while (!signal.aborted) {
        await this.#sendNew(stream, () => failure !== undefined);
        if (!failure) await this.#wake.wait();
        if (failure) throw failure;
      }
    } finally {
      forget();
    }
  }

  /** Sends what the file holds now beyond what was sent, unless that has become pointless. */
  async #sendNew(stream: PutStream, isOver: () => boolean): Promise<void> {
    const { target, path, source } = this.#ports;
    const facts = lstatSync(source, { throwIfNoEntry: false });
    if (!facts) return;
    if (isHollowLog(facts)) throw new Fault('hollow', `"${source}" is long and empty`); // the sweep names it
    try {
      for await (const { offset, data: read } of chunksOfKept({ path: source }, this.#offset)) {
        if (this.#stop.signal.aborted || isOver() || offset !== this.#offset) return;
        // What it has grown by since is looked at first: it may have been made long instead.
        const data = read.subarray(0, Math.max(0, facts.size - offset));
        if (data.length === 0) return;
        this.#offset += data.length;
        await stream.write({ target, path, offset: BigInt(offset), data, truncate: offset === 0, finalHash: '' });
      }
    } catch (error) {
      if (!isSystemError(error, 'ENOENT')) throw error; // wiped, or not yet there
    }
  }

  #watch(): FSWatcher | undefined {
    try {
      return watch(this.#ports.source, () => {
        this.#timer ??= this.#ports.clock.setTimer(gatherMs, () => {
          this.#timer = undefined;
          this.#wake.now();
        });
      }).on('error', (error) => this.#ports.log.warn({ error: error.message }, 'a log is not watched any more'));
    } catch (error) {
      this.#ports.log.warn({ error: String(error) }, 'a log cannot be watched; it is sent at the end');
      return undefined;
    }
  }
}
