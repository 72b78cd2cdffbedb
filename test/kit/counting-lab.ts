import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { expect } from 'vitest';
import { deskState, withDesk } from '../../cli/desk-connect.ts';
import type { DeskState } from '../../proto/gen/labrun/v1/desk.ts';
import { type AgentOptions, type Lab, ownLab } from './lab.ts';
import type { Captured, User } from './processes.ts';
import { until } from './until.ts';

/** A shell loop, a child with a session of its own, and a daemon that left its parent. */
const names = ['loop', 'session', 'daemon'] as const;

/** Each writes who it is and counts into a file, line by line (one that is cut to be written again may be read empty), until told to end. */
const counting = `
count() { echo $BASHPID >"$COUNTS/$1.pid"; i=0; while [ ! -e "$END" ]; do i=$((i+1)); echo $i >>"$COUNTS/$1"; sleep 0.02; done; }
count loop & export -f count
setsid bash -c 'count session' &
( setsid bash -c '(count daemon &) ' & )
wait; echo done`;

/** A lab whose agent "n1" runs one job of three processes, each of which counts. */
export class CountingLab {
  readonly lab: Lab;

  constructor(lab: Lab) {
    this.lab = lab;
  }

  counts(): readonly number[] {
    return names.map((name) => numberIn(this.lab.path(name)));
  }

  pids(): readonly number[] {
    return names.map((name) => numberIn(this.lab.path(`${name}.pid`)));
  }

  /** When the last of them counted last, on the wall clock in milliseconds. */
  lastCountMs(): number {
    return Math.max(...names.map((name) => statSync(this.lab.path(name)).mtimeMs));
  }

  /** Resolves when all have counted further than they had. */
  async countsOn(timeoutMs = 45_000): Promise<void> {
    const before = this.counts();
    await until(
      () => `all count on from ${before}; now ${this.counts()}`,
      () => this.counts().every((count, at) => count > (before[at] ?? 0)),
      timeoutMs,
    );
  }

  /** None of them counts while anything that ran would count far. */
  async standsStill(): Promise<void> {
    const before = this.counts();
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(this.counts()).toEqual(before);
  }

  /** Runs a command of the desk. */
  desk(...args: string[]): Promise<Captured> {
    return this.lab.labrun(...args, '--data', this.lab.agentFolder('n1'));
  }

  /** What the agent says of its desk. */
  state(): Promise<DeskState> {
    return withDesk({ data: this.lab.agentFolder('n1') }, deskState);
  }

  /** Resolves with the first state that fits. */
  untilState(what: string, fits: (state: DeskState) => boolean, timeoutMs = 45_000): Promise<DeskState> {
    let last: DeskState | undefined;
    const describe = () => {
      const { step, takesJobs, reason, presence } = last ?? {};
      const signals = presence?.signals.map(({ name, verdict, detail }) => `${name} ${verdict} ${detail}`);
      return `${what}; last: ${JSON.stringify({ step, takesJobs, reason, signals })}`;
    };
    return until(
      describe,
      async () => {
        last = await this.state();
        return fits(last) && last;
      },
      timeoutMs,
    );
  }

  /** Lets the job end, which must have run in one go. */
  async end(): Promise<void> {
    writeFileSync(this.lab.path('end'), '');
    await this.lab.ok('wait', 't/counts');
    expect((await this.lab.json('status', 't/counts')).jobs).toMatchObject([{ state: 'succeeded', attempt: 1 }]);
  }
}

/** Starts it; resolves when the job counts, for which a watched agent must have seen nobody for a while. */
export async function countingLab(
  options: { readonly agent?: AgentOptions; readonly user?: User | undefined; readonly isOpen?: boolean } = {},
): Promise<CountingLab> {
  const lab = await ownLab({ agents: { n1: { cpus: 1, ...options.agent } }, user: options.user });
  // Other accounts get through to the agent's folder, and see nothing else.
  if (options.isOpen) chmodSync(lab.folder, 0o711);
  const run = `export COUNTS=${lab.folder} END=${lab.path('end')}${counting}`;
  const jobs = [{ name: 'j', needs: { cpus: 1 }, run }];
  await lab.ok('submit', lab.jobFile('counts', { name: 'counts', namespace: 't', jobs }));
  const counted = new CountingLab(lab);
  await until('the job counts', () => counted.counts().every((count) => count > 3), 90_000);
  return counted;
}

function numberIn(path: string): number {
  if (!existsSync(path)) return 0;
  return Number(readFileSync(path, 'utf8').trimEnd().split('\n').at(-1));
}
