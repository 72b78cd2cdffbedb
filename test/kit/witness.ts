import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Lab } from './lab.ts';
import { until } from './until.ts';

/** A batch whose jobs say in a file of their own when they start, and in their archives which attempt wrote them. */
export class WitnessedBatch {
  readonly #lab: Lab;
  readonly #name: string;
  readonly #jobs: number;
  readonly #witness: string;

  private constructor(lab: Lab, name: string, jobs: number) {
    this.#lab = lab;
    this.#name = name;
    this.#jobs = jobs;
    this.#witness = lab.path(`witness-${name}`);
  }

  /** Submits `t/<name>` of so many jobs; each runs `run` (`{{i}}` is its number) between its two marks. */
  static async submit(lab: Lab, name: string, jobs: number, run: string): Promise<WitnessedBatch> {
    const batch = new WitnessedBatch(lab, name, jobs);
    const i = Array.from({ length: jobs }, (_, at) => String(at));
    // The archive is of one attempt only if both its files say the same.
    const text = `echo {{i}} $(date +%s%3N) >> ${batch.#witness}
      echo $LABRUN_ATTEMPT > $LABRUN_ARCHIVE/first
      ${run}
      echo $LABRUN_ATTEMPT > $LABRUN_ARCHIVE/last`;
    const job = { name: 'j', matrix: { i }, needs: { cpus: 1 }, run: text };
    await lab.ok('submit', lab.jobFile(name, { name, namespace: 't', jobs: [job] }));
    return batch;
  }

  /** How many jobs have started so far, those that started again included. */
  get starts(): number {
    return this.#lines().length;
  }

  /** Waits for its end: every job has succeeded, each archive is of one attempt, and no job began after its end was told. */
  async expectSucceeded(why = ''): Promise<void> {
    const batch = `t/${this.#name}`;
    // As long as it takes: the test itself has an end.
    const { code } = await this.#lab.follow('wait', batch).exited;
    expect(code, why).toBe(0);
    const status = await this.#lab.json('status', batch);
    expect(status.counts, why).toMatchObject({ succeeded: this.#jobs, failed: 0, cancelled: 0 });
    for (const { name, attempt } of status.jobs) {
      const read = (path: string) => readFileSync(join(this.#lab.archive, batch, name, path), 'utf8').trim();
      expect([read('first'), read('last')], name).toEqual([String(attempt), String(attempt)]);
    }
    expect(await this.#startsAfterTheirEnd(), why).toEqual([]);
  }

  /** Jobs that were started after the head had told that they had succeeded. */
  async #startsAfterTheirEnd(): Promise<string[]> {
    const events = (await this.#lab.ok('events', `t/${this.#name}`, '--json')).trim().split('\n');
    const ends = new Map<string, number>();
    for (const line of events) {
      const { kind, job, at, facts } = JSON.parse(line);
      if (kind === 'job-finished' && facts.state === 'succeeded') ends.set(job, Date.parse(at));
    }
    expect(ends.size).toBe(this.#jobs);
    const starts = this.#lines();
    expect(starts.length).toBeGreaterThanOrEqual(this.#jobs);
    return starts.filter((line) => {
      const [index = '', atMs] = line.split(' ');
      return Number(atMs) > (ends.get(`j-i-${index}`) ?? Number.POSITIVE_INFINITY);
    });
  }

  #lines(): string[] {
    return existsSync(this.#witness) ? readFileSync(this.#witness, 'utf8').trim().split('\n') : [];
  }
}

/** Waits until no process of a job and no folder of an attempt is left anywhere in the lab. */
export async function untilNothingIsLeft(lab: Lab, timeoutMs?: number): Promise<void> {
  let left = '';
  await until(
    () => `scratch is wiped and nothing runs: ${left}`,
    () => {
      // Supervisors that wait for the next job are the agents' own.
      const jobs = lab.strays().filter(({ command }) => !command.includes('/supervisors/'));
      left = JSON.stringify([jobs, [...lab.agents.keys()].flatMap((name) => attemptFolders(lab, name))]);
      return left === '[[],[]]';
    },
    timeoutMs,
  );
}

/** Folders of attempts that are on an agent's disk; those laid out for the next one are nobody's yet. */
export function attemptFolders(lab: Lab, agent: string): string[] {
  const folder = join(lab.agentFolder(agent), 'attempts');
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((entry) => (entry.startsWith('spare-') ? [] : [join(folder, entry)]));
}
