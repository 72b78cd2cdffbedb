import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished } from 'vitest';
import type { TrackingName } from '../../../node-agent/executor/identity.ts';
import { isAlive, readProcess } from '../../../node-agent/executor/process-table.ts';
import type { FreezingName } from '../../../node-agent/ports.ts';
import { anExecutor, aStarted, canTrackBy, pidIn } from '../../kit/an-executor.ts';
import { countingScript, counts, countsOn } from '../../kit/counting-job.ts';
import { buildOtherExecutor, OtherExecutor } from '../../kit/other-executor.ts';
import { nameOf } from '../../kit/proc.ts';
import { itWith, mpirun, plainUser } from '../../kit/real-parts.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { SystemdMachine } from '../../kit/systemd-machine.ts';
import { apptainerRunOptions, buildTinyImage } from '../../kit/tiny-image.ts';
import { until } from '../../kit/until.ts';

// Freezing what real programs start, for ordinary users, and where systemd has delegated a control group to one.

const ways: readonly (readonly [FreezingName, TrackingName])[] = [
  ['cgroup-v2', 'cgroup-v2'],
  ['cgroup-v1', 'cgroup-v1'],
  ['stop', 'subreaper'],
];
const usable = ways.filter(([, tracking]) => canTrackBy(tracking));

let program = '';
beforeAll(async () => {
  program = await buildOtherExecutor();
});
afterAll(() => {
  if (image !== undefined) rmSync(dirname(image), { recursive: true });
});

describe.each(usable)('frozen by %s', (freezing, tracking) => {
  const open = (root: string) => anExecutor(root, tracking, true, [freezing]);

  itWith('apptainer')('a container stands still with the helper that reads its image, and goes on', async () => {
    const root = scratchFolder();
    const image = anImage();
    const executor = await open(root);
    // It asks the helper for something all the time.
    const loop = 'i=0; while :; do i=$((i+1)); ls -lR /bin /etc /usr >/dev/null; echo $i >count-main; done';
    const run = ['apptainer', 'exec', ...apptainerRunOptions(), '--no-home', '--bind', '.:/scratch-mount'];
    const argv = [...run, '--pwd', '/scratch-mount', image, '/bin/sh', '-c', loop];
    const env = { PATH: process.env['PATH'] ?? '', HOME: root };
    const { home } = await aStarted(executor, '', root, { argv, env });
    await countsOn(home, 1);
    const names = (await executor.processes(home)).map(nameOf);
    expect(names).toContainEqual(expect.stringMatching(/^squashfuse/));
    for (let round = 0; round < 3; round++) {
      expect(await executor.freeze(home)).toMatchObject({ missed: [] });
      await standsStill(home);
      await executor.thaw(home);
      await countsOn(home, 1);
    }
    await executor.kill(home, 0);
    expect(await executor.processes(home)).toEqual([]);
  });

  itWith('mpi')('ranks of MPI that wait for each other stand still, and go on', async () => {
    const root = scratchFolder();
    const file = compile(root, ranksProgram);
    const executor = await open(root);
    const argv = [...mpirun, '3', file];
    const { home, running } = await aStarted(executor, '', root, { argv, env: { PATH: '/usr/bin:/bin', HOME: root } });
    await countsOn(home, 3);
    for (let round = 0; round < 3; round++) {
      expect(await executor.freeze(home)).toMatchObject({ missed: [] });
      await standsStill(home);
      await executor.thaw(home);
      await countsOn(home, 3);
    }
    writeFileSync(join(home, 'enough'), '');
    expect(await running.ended).toMatchObject({ kind: 'exited', exitCode: 0 });
  });
});

describe.skipIf(process.getuid?.() !== 0)('an ordinary user', () => {
  itWith('plain user', 'perl')(
    'stops and throttles all that he started, and an agent after him lets it go',
    async () => {
      const { root, user } = aUsersFolder();
      const { executor, tracking, freezing } = await OtherExecutor.open(program, { folder: join(root, 'ex') }, user);
      expect({ tracking, freezing }).toEqual({ tracking: 'subreaper', freezing: 'stop' });
      const { home } = await aStarted(owned(executor, user), countingScript(true), root);
      await countsOn(home);
      expect(await executor.throttle(home, { cores: 1 })).toEqual({
        ...{ cores: 'affinity', weight: 'nice', io: 'class', missed: [] },
      });
      await countsOn(home);
      expect(await executor.freeze(home)).toMatchObject({ missed: [] });
      await standsStill(home);
      await executor.die();
      const { executor: next } = await OtherExecutor.open(program, { folder: join(root, 'ex') }, user);
      expect(await next.isFrozen(home)).toBe(true);
      await next.thaw(home);
      await countsOn(home);
      // He may not make his processes less nice.
      expect(await next.throttle(home)).toEqual({ cores: 'none', weight: 'nice', io: 'none', missed: [] });
      await next.kill(home, 0);
      expect(await next.processes(home)).toEqual([]);
    },
  );

  itWith('plain user', 'perl')('hears of a process that became another user, and stops the rest', async () => {
    const { root, user } = aUsersFolder();
    const setpriv = join(root, 'setpriv');
    copyFileSync('/usr/bin/setpriv', setpriv);
    chmodSync(setpriv, 0o4755);
    const { executor } = await OtherExecutor.open(program, { folder: join(root, 'ex') }, user);
    const stranger = `${setpriv} --reuid 0 --clear-groups sh -c 'echo $$ >pid; exec sleep 100'`;
    const { home } = await aStarted(owned(executor, user), `${stranger} & ${countingScript()}`, root);
    const pid = await until('it is another user', () => pidIn(join(home, 'pid')));
    onTestFinished(() => {
      if (isAlive(pid)) process.kill(pid, 'SIGKILL');
    });
    await countsOn(home);
    expect((await executor.freeze(home)).missed).toEqual([pid]);
    await standsStill(home);
    expect((await executor.throttle(home, { cores: 1 })).missed).toEqual([pid]);
    expect(readProcess(pid)?.state).toBe('S');
  });
});

itWith('systemd')(
  'an account that systemd has delegated a control group to freezes by it, over the end of its agent',
  async () => {
    const machine = await SystemdMachine.boot();
    await machine.ok(['useradd', '--create-home', 'ada']);
    const home = '/home/ada/job';
    const unit = [
      '--pipe',
      '--wait',
      '--quiet',
      '--collect',
      '--uid=ada',
      '-p',
      'Delegate=yes',
      '-p',
      'KillMode=process',
    ];
    const wrap = (name: string) => (argv: readonly string[]) =>
      machine.inside(['systemd-run', ...unit, `--unit=${name}`, '/usr/local/bin/node', ...argv.slice(1)]);
    const inside = join('/opt/labrun/.build', basename(program));
    const options = { folder: '/home/ada/executor' };
    const first = await OtherExecutor.open(inside, options, undefined, wrap('first'));
    expect(first).toMatchObject({ tracking: 'cgroup-v2', freezing: 'cgroup-v2' });
    await machine.ok(['runuser', '-u', 'ada', '--', 'mkdir', home]);
    const argv = ['/bin/sh', '-c', countingScript(true)];
    const limits = { memoryBytes: 0, processes: 4096, diskBytes: 0, cpus: 1 };
    await first.executor.start({ home, id: 'job', argv, cwd: home, env: { PATH: '/usr/bin:/bin' }, limits });

    const count = () =>
      machine.ok(['sh', '-c', `cd ${home} && grep . count-child count-daemon count-main count-session`]);
    const goesOn = async () => {
      const before = (await count()).split('\n');
      await until('all count on', async () =>
        (await count()).split('\n').every((line, at) => !line || line !== before[at]),
      );
    };
    const standsStillThere = async () => {
      const before = await count();
      await sleep(300);
      expect(await count()).toBe(before);
    };
    await until('all have begun to count', count);
    await goesOn();
    expect(await first.executor.freeze(home)).toMatchObject({ missed: [] });
    await standsStillThere();
    await machine.ok(['systemctl', 'kill', '--signal=KILL', '--kill-whom=main', 'first']);
    await until('it is dead', async () => (await machine.run(['systemctl', 'is-active', 'first'])).code !== 0);
    await standsStillThere();
    const next = await OtherExecutor.open(inside, options, undefined, wrap('next'));
    expect(await next.executor.isFrozen(home)).toBe(true);
    await standsStillThere();
    await next.executor.thaw(home);
    await goesOn();
    await next.executor.freeze(home);
    await next.executor.kill(home, 0);
    expect(await next.executor.processes(home)).toEqual([]);
  },
  240_000,
);

let image: string | undefined;

/** One image for all tests. */
function anImage(): string {
  if (image === undefined) {
    const folder = mkdtempSync(join(tmpdir(), 'labrun-image-'));
    image = join(folder, 'image.sif');
    buildTinyImage(image);
  }
  return image;
}

async function standsStill(home: string): Promise<void> {
  const before = counts(home);
  await sleep(150);
  expect(counts(home)).toEqual(before);
}

/** A folder that an ordinary user may write. */
function aUsersFolder() {
  const user = plainUser();
  if (user === undefined) throw new Error('only root can become somebody else');
  const root = scratchFolder();
  chmodSync(root, 0o755);
  const folder = join(root, 'his');
  mkdirSync(folder);
  chownSync(folder, user.uid, user.gid);
  return { root: folder, user };
}

/** Gives the homes of what is started to this user. */
function owned(executor: OtherExecutor, { uid, gid }: { readonly uid: number; readonly gid: number }) {
  const start = (request: Parameters<OtherExecutor['start']>[0]) => {
    chownSync(request.home, uid, gid);
    return executor.start(request);
  };
  return { start };
}

/** Ranks that wait for each other all the time, and each count how often; they end when a file says so. */
const ranksProgram = `
#include <mpi.h>
#include <stdio.h>
#include <unistd.h>
int main(int count, char **words) {
  int rank, over = 0;
  char fresh[32], name[32];
  MPI_Init(&count, &words);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  sprintf(fresh, "fresh-%d", rank);
  sprintf(name, "count-%d", rank);
  for (long i = 1; !over; i++) {
    FILE *file = fopen(fresh, "w");
    fprintf(file, "%ld\\n", i);
    fclose(file);
    rename(fresh, name);
    over = rank == 0 && access("enough", F_OK) == 0;
    MPI_Bcast(&over, 1, MPI_INT, 0, MPI_COMM_WORLD);
  }
  return MPI_Finalize();
}
`;

function compile(folder: string, source: string): string {
  const file = join(folder, 'ranks');
  writeFileSync(`${file}.c`, source);
  const made = spawnSync('mpicc', ['-o', file, `${file}.c`], { encoding: 'utf8' });
  if (!existsSync(file)) throw new Error(made.stderr);
  return file;
}
