import { expect } from 'vitest';
import type { Running } from '../kit/processes.ts';
import { itWith } from '../kit/real-parts.ts';
import { SystemdMachine } from '../kit/systemd-machine.ts';
import { until } from '../kit/until.ts';

const agentData = '/var/lib/labrun-agent';
const socket = 'unix:/var/lib/labrun-head/head.sock';
/** A shell loop, a child in a session of its own, and a daemon that left its parent; each counts into a file. */
const jobFile = `name: counts
jobs:
  - name: one
    run: |
      count() { i=0; until [ -e /tmp/end ]; do i=$((i+1)); echo $i > $1.new; mv $1.new $1; sleep 0.02; done; }
      export -f count
      count loop &
      setsid bash -c 'count session' &
      ( setsid bash -c '(count daemon &) ' & )
      wait
`;

itWith('systemd')(
  'somebody who types at a machine slows a job down or stops it, with no root, and it goes on when they have left',
  async () => {
    const machine = await SystemdMachine.boot();
    const desk = (...args: string[]) => machine.ok(asAda('labrun', ...args, '--data', agentData));
    const state = async () => JSON.parse(await desk('desk', 'status', '--json'));
    await installEverything(machine);
    const counts = () => countersOf(machine);
    await until('the job counts', async () => (await counts()).every((count) => count > 3));
    expect(await state()).toMatchObject({ step: 'none', mayChange: true, presence: { present: false } });

    const terminal = await login(machine);
    const typed = async () => {
      terminal.type('true\n');
      return state();
    };
    await until('typing is noticed', async () => (await typed()).step === 'throttle', 30_000);
    const here = JSON.parse(await desk('presence', '--json'));
    expect(here).toMatchObject({ present: true, why: expect.stringContaining('pts') });
    // What the machine itself says of who is there.
    expect(await machine.ok(['loginctl', 'list-sessions', '--no-legend'])).toMatch(/\bada\b.*\bpts\//);
    const before = await counts();
    await until('the job goes on, slower', async () =>
      (await counts()).every((count, at) => count > (before[at] ?? 0)),
    );

    await machine.ok(
      asAda(
        'sh',
        '-c',
        `echo 'onActivity: pause
idle: {resume: 20s, newWork: 25s}' | labrun desk policy set - --data ${agentData}`,
      ),
    );
    await until('the job is stopped', async () => (await state()).step === 'pause', 30_000);
    expect((await state()).jobs).toMatchObject([{ state: 'paused', batch: 'counts' }]);
    const stopped = await counts();
    await untilTicks(machine, 5);
    expect(await counts()).toEqual(stopped);
    expect(
      await machine.ok(['runuser', '-u', 'labrun', '--', 'labrun', 'why', 'counts/one', '--head', socket]),
    ).toMatch(/paus/);

    await until('it goes on when nobody has typed for a while', async () => (await state()).step === 'none', 60_000);
    await until('it counts', async () => (await counts()).every((count, at) => count > (stopped[at] ?? 0)));

    await desk('pause', '--for', '10m', '--reason', 'a talk');
    const paused = await counts();
    await untilTicks(machine, 5);
    expect(await counts()).toEqual(paused);
    await desk('resume');
    await machine.ok(['touch', '/tmp/end']);
    await machine.ok(['runuser', '-u', 'labrun', '--', 'labrun', 'wait', 'counts', '--head', socket]);
    // Somebody of no such group is told whom to ask.
    const stranger = await machine.run(['runuser', '-u', 'eve', '--', 'labrun', 'pause', '--data', agentData]);
    expect(stranger).toMatchObject({ code: 4, stderr: expect.stringContaining('"usermod -aG lab eve"') });
  },
  300_000,
);

async function installEverything(machine: SystemdMachine): Promise<void> {
  await machine.ok([
    'sh',
    '-c',
    'printf \'#!/bin/sh\\nexec /usr/local/bin/node /opt/labrun/dist/labrun.js "$@"\\n\' > /usr/local/bin/labrun; chmod 755 /usr/local/bin/labrun',
  ]);
  await machine.ok(['groupadd', 'lab']);
  for (const user of ['ada', 'eve']) await machine.ok(['useradd', '-m', '-s', '/bin/bash', user]);
  await machine.ok(['usermod', '-aG', 'lab', 'ada']);
  await machine.labrun(['head', 'install']);
  await machine.labrun(['agent', 'install', '--desk-group', 'lab']);
  await machine.labrun(['head', 'init', '--data', '/var/lib/labrun-head'], 'labrun');
  await machine.ok(['systemctl', 'start', 'labrun-head']);
  const secret = await until('the head makes a token', async () =>
    (await machine.labrun(['token', 'create', '--node', '--data', '/var/lib/labrun-head'], 'labrun')).trim(),
  );
  await machine.labrun(['agent', 'join', '127.0.0.1:7420', '--token', secret, '--data', agentData], 'labrun-agent');
  await machine.ok(['systemctl', 'start', 'labrun-agent']);
  await machine.ok(['sh', '-c', 'cat > /tmp/labrun.yaml'], { input: jobFile });
  await machine.ok(['runuser', '-u', 'labrun', '--', 'labrun', 'submit', '/tmp/labrun.yaml', '--head', socket]);
}

function asAda(...argv: string[]): string[] {
  return ['runuser', '-u', 'ada', '--', ...argv];
}

/** A person logs in at a terminal of the machine, by its own login. */
async function login(machine: SystemdMachine): Promise<{ type(text: string): void; readonly process: Running }> {
  const process = machine.start(['script', '--quiet', '--flush', '--command', 'login -f ada', '/dev/null'], {
    typed: true,
  });
  await until('logind has a session', async () =>
    (await machine.ok(['loginctl', 'list-sessions', '--no-legend'])).includes('ada'),
  );
  return { process, type: (text) => process.write(text) };
}

async function countersOf(machine: SystemdMachine): Promise<readonly number[]> {
  const script = `cd ${agentData}/attempts/*/work && cat loop session daemon`;
  const { stdout } = await machine.run(['sh', '-c', script]);
  const counts = stdout.trim().split('\n').map(Number);
  return counts.length === 3 ? counts : [0, 0, 0];
}

/** So many seconds of the machine's own clock pass; what runs would count far in that time. */
async function untilTicks(machine: SystemdMachine, seconds: number): Promise<void> {
  await machine.ok(['sleep', String(seconds)]);
}
