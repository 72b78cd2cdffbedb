import { type FSWatcher, watch } from 'node:fs';
import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { background } from '../../base/background.ts';
import type { Clock, Timer } from '../../base/clock.ts';
import { Fault, isSystemError, RefusedError } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { relativePathProblem } from '../../base/names.ts';
import { hashKept } from '../../base/transfer/chunk.ts';
import type { FileOwner } from '../../base/transfer/open-kept.ts';
import { UnbackedBytes } from '../scratch/unbacked.ts';
import { filesOpenForWriting } from './open-for-writing.ts';
import type { ArchiveSender } from './send-archive.ts';

/** What the watch needs. */
export interface EarlyFilesPorts {
  /** The attempt's archive folder; no link is on the way to it. */
  readonly folder: string;
  /** The account that jobs run as, where that is not ours. */
  readonly owner: FileOwner | undefined;
  /** Bytes without a disk under them that may travel. */
  readonly holesMaxBytes: number;
  readonly sender: ArchiveSender;
  readonly clock: Clock;
  readonly log: Log;
  /** All processes of the attempt. */
  processes(): Promise<readonly number[]>;
}

/** How long a file must have been left alone, in milliseconds. */
const quietMs = 2_000;
/** Shortest time between two looks, in milliseconds. */
const lookMinMs = 250;
/** Folders watched, and changed files remembered, at most. What is beyond travels with the final sweep. */
const foldersMax = 1_000;
const filesMax = 20_000;

/**
 * Sends finished files of the archive while the job runs. It only makes things early: the final sweep looks at
 * everything again, so that whatever is missed or sent too soon here is put right there.
 */
export class EarlyFiles {
  readonly #ports: EarlyFilesPorts;
  readonly #watchers = new Map<string, FSWatcher>();
  /** When each changed file was touched last, by its path in the archive. */
  readonly #touched = new Map<string, number>();
  /** What may be new folders. */
  readonly #appeared = new Set<string>();
  readonly #unbacked: UnbackedBytes;
  readonly #stop = new AbortController();
  #timer: Timer | undefined;
  #work: Promise<void> = Promise.resolve();

  constructor(ports: EarlyFilesPorts) {
    this.#ports = ports;
    this.#unbacked = new UnbackedBytes(ports.holesMaxBytes);
    this.#then(() => this.#watchFolder(''));
  }

  /** Resolves when nothing is on its way any more. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('the job has ended'));
    this.#timer?.cancel();
    for (const watcher of this.#watchers.values()) watcher.close();
    await this.#work;
  }

  /** One thing at a time: a thousand new files must not open a thousand descriptors. */
  #then(task: () => Promise<void>): void {
    this.#work = this.#work.then(async () => {
      if (this.#stop.signal.aborted) return;
      try {
        await task();
      } catch (error) {
        // Files come and go while a job runs, and the sweep will tell what is really wrong.
        if (!this.#stop.signal.aborted) this.#ports.log.debug({ error: String(error) }, 'a file did not travel early');
      }
    });
    background(this.#work);
  }

  async #watchFolder(path: string): Promise<void> {
    if (this.#watchers.has(path) || this.#watchers.size >= foldersMax) return;
    const folder = join(this.#ports.folder, path);
    const watcher = watch(folder, (event, name) => {
      if (name === null || this.#stop.signal.aborted) return;
      const changed = below(path, name);
      this.#touch(changed);
      // A new folder is watched before much happens in it.
      if (event === 'rename') this.#appear(changed);
    });
    watcher.on('error', () => this.#unwatch(path));
    this.#watchers.set(path, watcher);
    const folders: string[] = [];
    for await (const entry of await opendir(folder)) {
      if (!entry.isDirectory()) this.#touch(below(path, entry.name));
      else if (folders.push(entry.name) >= foldersMax) break;
    }
    for (const name of folders) await this.#watchFolder(below(path, name));
  }

  /** A job may rename without end: each name waits once, and one task serves them all. */
  #appear(path: string): void {
    if (this.#appeared.size >= filesMax) return;
    if (this.#appeared.size === 0) this.#then(() => this.#watchAppeared());
    this.#appeared.add(path);
  }

  async #watchAppeared(): Promise<void> {
    const paths = [...this.#appeared];
    this.#appeared.clear();
    for (const path of paths) {
      try {
        if ((await lstat(join(this.#ports.folder, path))).isDirectory()) await this.#watchFolder(path);
      } catch (error) {
        if (!isSystemError(error, 'ENOENT', 'ENOTDIR', 'ENAMETOOLONG')) throw error;
      }
    }
  }

  #unwatch(path: string): void {
    this.#watchers.get(path)?.close();
    this.#watchers.delete(path);
  }

  #touch(path: string): void {
    if (this.#touched.size >= filesMax && !this.#touched.has(path)) return;
    this.#touched.delete(path);
    this.#touched.set(path, this.#ports.clock.monotonicMs());
    if (!this.#timer) this.#lookAgainAt(this.#ports.clock.monotonicMs() + quietMs);
  }

  async #sendQuiet(): Promise<void> {
    try {
      const nowMs = this.#ports.clock.monotonicMs();
      const busy = await filesOpenForWriting(await this.#ports.processes());
      for (const [path, touchedMs] of this.#touched) {
        // The map is in order of touching: all that follow are younger.
        if (nowMs - touchedMs < quietMs || this.#stop.signal.aborted) break;
        this.#touched.delete(path);
        await this.#look(path, busy);
      }
    } finally {
      this.#timer = undefined;
      const [next] = this.#touched.values();
      if (next !== undefined && !this.#stop.signal.aborted) this.#lookAgainAt(next + quietMs);
    }
  }

  #lookAgainAt(dueMs: number): void {
    const waitMs = Math.max(lookMinMs, dueMs - this.#ports.clock.monotonicMs());
    this.#timer = this.#ports.clock.setTimer(waitMs, () => this.#then(() => this.#sendQuiet()));
  }

  async #look(path: string, busy: ReadonlySet<string>): Promise<void> {
    if (relativePathProblem(path) !== undefined) return;
    const { folder, owner } = this.#ports;
    const source = { path: join(folder, path), owner };
    try {
      const facts = await lstat(source.path, { bigint: true });
      if (!facts.isFile()) return;
      if (busy.has(`${facts.dev}:${facts.ino}`)) return this.#touch(path);
      const { dev, ino } = facts; // exact as they are; sizes are far below where numbers end
      const [size, blocks, nlink] = [Number(facts.size), Number(facts.blocks), Number(facts.nlink)];
      if (!this.#unbacked.take({ dev, ino, nlink, size, blocks })) return; // the sweep says so
      const signal = this.#stop.signal;
      const hash = await hashKept(source, size, signal);
      await this.#ports.sender.sendOne({ path: `archive/${path}`, source, sizeBytes: size, hash }, signal);
    } catch (error) {
      if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return;
      if (error instanceof Fault && error.code === 'changed') return this.#touch(path);
      // The sweep will meet the same, and name it.
      if (error instanceof Fault && (error.code === 'swapped' || error.code === 'not-yours')) return;
      if (error instanceof RefusedError) return; // the sweep will meet the same refusal and report it
      throw error;
    }
  }
}

function below(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`;
}
