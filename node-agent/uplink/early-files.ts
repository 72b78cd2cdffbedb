import { type FSWatcher, watch } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { background } from '../../base/background.ts';
import type { Clock, Timer } from '../../base/clock.ts';
import { Fault, isSystemError, RefusedError } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { hashFile } from '../../base/transfer/hash.ts';
import { filesOpenForWriting } from './open-for-writing.ts';
import type { ArchiveSender } from './send-archive.ts';

/** What the watch needs. */
export interface EarlyFilesPorts {
  /** The attempt's archive folder. */
  readonly folder: string;
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
  readonly #stop = new AbortController();
  #timer: Timer | undefined;
  #work: Promise<void> = Promise.resolve();

  constructor(ports: EarlyFilesPorts) {
    this.#ports = ports;
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
      if (event === 'rename') this.#then(() => this.#watchIfFolder(changed));
    });
    watcher.on('error', () => this.#unwatch(path));
    this.#watchers.set(path, watcher);
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (entry.isDirectory()) await this.#watchFolder(below(path, entry.name));
      else this.#touch(below(path, entry.name));
    }
  }

  async #watchIfFolder(path: string): Promise<void> {
    try {
      if ((await lstat(join(this.#ports.folder, path))).isDirectory()) await this.#watchFolder(path);
    } catch (error) {
      if (!isSystemError(error, 'ENOENT', 'ENOTDIR')) throw error;
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
    const source = join(this.#ports.folder, path);
    try {
      const facts = await lstat(source, { bigint: true });
      if (!facts.isFile()) return;
      if (busy.has(`${facts.dev}:${facts.ino}`)) return this.#touch(path);
      const signal = this.#stop.signal;
      const hash = await hashFile(source, signal);
      await this.#ports.sender.sendOne(
        { path: `archive/${path}`, source, sizeBytes: Number(facts.size), hash },
        signal,
      );
    } catch (error) {
      if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return;
      if (error instanceof Fault && error.code === 'changed') return this.#touch(path);
      if (error instanceof RefusedError) return; // the sweep will meet the same refusal and report it
      throw error;
    }
  }
}

function below(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`;
}
