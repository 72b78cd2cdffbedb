import { type Profiler, Session } from 'node:inspector';

/** Which blocks of this bundle have run, told by V8's precise coverage of the calling thread. */
export class Coverage {
  readonly #session = new Session();
  readonly #seen = new Set<string>();

  start(): void {
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  get blocks(): number {
    return this.#seen.size;
  }

  /** How many blocks have run since the last call that had never run before. The session answers at once. */
  take(): number {
    const before = this.#seen.size;
    this.#session.post('Profiler.takePreciseCoverage', (error, answer) => {
      if (error) throw error;
      for (const script of answer.result) this.#note(script);
    });
    return this.#seen.size - before;
  }

  #note({ scriptId, url, functions }: Profiler.ScriptCoverage): void {
    if (!url.startsWith('file:') || url.includes('/node_modules/')) return;
    for (const { ranges } of functions) {
      for (const { startOffset, endOffset, count } of ranges) {
        if (count > 0) this.#seen.add(`${scriptId}:${startOffset}-${endOffset}`);
      }
    }
  }
}
