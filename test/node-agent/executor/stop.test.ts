import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../../base/clock.ts';
import { type ProcessFacts, readProcess, threadStates } from '../../../node-agent/executor/process-table.ts';
import { anExecutor, aStarted, logOf, pidIn } from '../../kit/an-executor.ts';
import { countingScript, counts, countsOn } from '../../kit/counting-job.ts';
import { itWith } from '../../kit/real-parts.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { until } from '../../kit/until.ts';

// What only SIGSTOP meets: shells with job control, orphaned process groups, strangers who send SIGCONT, threads.

/** Timers of it fire fifty times as soon, so that nobody waits for the looks of minutes. */
const hasty: Clock = { ...systemClock, setTimer: (ms, task) => systemClock.setTimer(ms / 50, task) };

const open = (root = scratchFolder(), clock = systemClock) => anExecutor(root, 'subreaper', false, ['stop'], clock);

describe('a tree stopped by signals', () => {
  itWith('script')(
    'hides it from a shell with job control on a terminal, which would take its job for stopped',
    async () => {
      const root = scratchFolder();
      const executor = await open(root);
      writeFileSync(join(root, 'job'), countingScript());
      // A shell takes part in job control only where there is a terminal.
      writeFileSync(join(root, 'shell'), `sh ${root}/job\necho over $?\n`);
      const { home, request } = await aStarted(executor, `exec script -qec 'bash -m ${root}/shell' /dev/null`, root);
      for (let round = 0; round < 5; round++) {
        await countsOn(home);
        expect(await executor.freeze(home)).toMatchObject({ missed: [] });
        const before = counts(home);
        await sleep(50);
        expect(counts(home)).toEqual(before);
        await executor.thaw(home);
      }
      await countsOn(home);
      expect(logOf(request)).toBe('');
    },
  );

  it('is stopped again when somebody lets a part of it go on', async () => {
    const executor = await open(scratchFolder(), hasty);
    const { home } = await aStarted(executor, countingScript(true));
    await countsOn(home);
    await executor.freeze(home);
    for (const pid of await executor.processes(home)) process.kill(pid, 'SIGCONT');
    await stands(executor, home);
    await executor.thaw(home);
    await countsOn(home);
  });

  it('is stopped again when the kernel lets a process group go on whose shell was killed', async () => {
    const executor = await open(scratchFolder(), hasty);
    const child = `trap : HUP; echo $PPID >shell; ${countingScript()}`;
    const { home } = await aStarted(executor, '', scratchFolder(), {
      argv: ['bash', '-c', `bash -mc "sh -c \\"\\$0\\"; exit" "$0" & sleep 100`, child],
    });
    await countsOn(home);
    const shell = pidIn(join(home, 'shell')) ?? 0;
    expect(readFileSync(`/proc/${shell}/comm`, 'utf8')).toBe('bash\n');
    await executor.freeze(home);
    process.kill(shell, 'SIGKILL');
    await stands(executor, home);
    await executor.thaw(home);
    await countsOn(home, 3);
  });

  it('goes on with what somebody has let go meanwhile, though the job had stopped it before', async () => {
    const executor = await open(scratchFolder(), hasty);
    const script = `sh -c 'echo $$ >pid; kill -STOP $$; ${countingScript().split('\n').at(-1)}' & sleep 100`;
    const { home } = await aStarted(executor, script);
    const pid = await until('it writes its pid', () => pidIn(join(home, 'pid')));
    await until('it has stopped itself', () => readProcess(pid)?.state === 'T');
    await executor.freeze(home);
    process.kill(pid, 'SIGCONT');
    await stands(executor, home);
    await executor.thaw(home);
    await countsOn(home, 1);
  });

  itWith('cc')('stands still in all its threads, also when its main thread has ended', async () => {
    const root = scratchFolder();
    const program = compile(root, threadsProgram);
    const executor = await open(root);
    const { home } = await aStarted(executor, `${program} ended & ${program} & wait`, root);
    const found = await until('both run', async () => {
      const pids = await executor.processes(home);
      return pids.length === 3 ? pids : undefined;
    });
    await until('one main thread has ended', () => found.some((pid) => readProcess(pid)?.state === 'Z'));
    expect(await executor.freeze(home)).toMatchObject({ processes: 3, missed: [] });
    for (const pid of found) {
      const facts = readProcess(pid);
      expect(facts && new Set(threadStates(facts).filter((state) => state !== 'Z'))).toEqual(new Set(['T']));
    }
    await executor.thaw(home);
    await until('they run', () => found.filter((pid) => isBusy(pid)).length === 2);
    await executor.kill(home, 0);
    expect(await executor.processes(home)).toEqual([]);
  });
});

/** Waits until nothing of it runs, and checks that it stays so. */
async function stands(executor: { processes(home: string): Promise<readonly number[]> }, home: string): Promise<void> {
  let last: readonly (ProcessFacts | undefined)[] = [];
  await until(
    () => `all of it is stopped; last: ${last.map((facts) => `${facts?.pid} ${facts?.state}`).join(', ')}`,
    async () => {
      last = (await executor.processes(home)).map(readProcess);
      return last.every((facts) => facts?.state === 'T' || waitsForChild(facts, last));
    },
  );
  const before = counts(home);
  await sleep(150);
  expect(counts(home)).toEqual(before);
}

/** A shell that starts a program stands still in the kernel, unseen by SIGSTOP, as long as its child is stopped on the way. */
function waitsForChild(facts: ProcessFacts | undefined, all: readonly (ProcessFacts | undefined)[]): boolean {
  return facts?.state === 'D' && all.some((other) => other?.parent === facts.pid && other.state === 'T');
}

function isBusy(pid: number): boolean {
  const facts = readProcess(pid);
  return facts !== undefined && threadStates(facts).includes('R');
}

/** Three threads that work; told so, the main thread ends before them. */
const threadsProgram = `
#include <pthread.h>
static void *work(void *none) { for (volatile long i = 0;; i++) ; return none; }
int main(int count, char **words) {
  pthread_t threads[3];
  (void)words;
  for (int i = 0; i < 3; i++) pthread_create(&threads[i], 0, work, 0);
  if (count > 1) pthread_exit(0);
  pthread_join(threads[0], 0);
}
`;

function compile(folder: string, source: string): string {
  const file = join(folder, 'threads');
  writeFileSync(`${file}.c`, source);
  const made = spawnSync('cc', ['-O1', '-pthread', '-o', file, `${file}.c`], { encoding: 'utf8' });
  if (!existsSync(file)) throw new Error(made.stderr);
  return file;
}
