import { expect } from 'vitest';
import { itWith } from '../kit/real-parts.ts';
import { SystemdMachine } from '../kit/systemd-machine.ts';
import { until } from '../kit/until.ts';

const kept = '/kept';
const socket = `unix:${kept}/head.sock`;
const jobFile = `name: b
jobs:
  - name: ended
    needs: {cpus: 1}
    run: |
      echo ended >> ${kept}/starts
      until [ -e ${kept}/end ]; do sleep 0.05; done
      echo result > $LABRUN_ARCHIVE/result
  - name: running
    needs: {cpus: 1}
    run: |
      echo running >> ${kept}/starts
      until [ -e ${kept}/go-on ]; do sleep 0.05; done
      echo $LABRUN_ATTEMPT > $LABRUN_ARCHIVE/attempt
`;

itWith('systemd')(
  'after a crash of the machine what had ended is a result, what ran is lost and runs again, and no process is mistaken for it',
  async () => {
    const machine = await SystemdMachine.boot({ kept });
    const ids = [await bootId(machine)];
    await machine.labrun(['head', 'init', '--data', `${kept}/head`]);
    await startServices(machine);
    await machine.ok(['sh', '-c', 'cat > /tmp/labrun.yaml'], { input: jobFile });
    await until('the head takes the batch', () => machine.labrun(['submit', '/tmp/labrun.yaml', '--head', socket]));
    await until('both jobs run', async () => (await starts(machine)).length === 2);
    const identities = await machine.ok(['sh', '-c', `sed -n 2p ${kept}/agent/attempts/*/identity`]);
    const number = Math.max(...identities.trim().split('\n').map(Number));

    // The head is away, so that the end of a job is known to its agent alone.
    await machine.ok(['systemctl', 'stop', 'head']);
    await machine.ok(['touch', `${kept}/end`]);
    await until('the agent has recorded the end', () => recordHolds(machine, '"kind":"ended"'));
    await machine.crash();
    ids.push(await bootId(machine));
    expect(ids[1]).not.toBe(ids[0]);
    // Numbers begin anew with the machine: a stranger gets that of the job's supervisor before the agent starts.
    await machine.ok(['sh', '-c', takeNumber(number)]);

    await startServices(machine);
    await until('the lost job runs again', async () => (await starts(machine)).length === 3);
    await machine.ok(['touch', `${kept}/go-on`]);
    await machine.labrun(['wait', 'b', '--head', socket]);
    const status = JSON.parse(await machine.labrun(['status', 'b', '--head', socket, '--json']));
    expect(status.jobs).toMatchObject([
      { name: 'ended', state: 'succeeded', attempt: 1 },
      { name: 'running', state: 'succeeded', attempt: 2 },
    ]);
    expect((await starts(machine)).sort()).toEqual(['ended', 'running', 'running']);
    const events = await machine.labrun(['events', '--head', socket, '--json']);
    const lost = events.split('\n').filter((line) => line.includes('"job-lost"'));
    expect(lost.join('\n')).toMatch(/^[^\n]*"running"[^\n]*the machine went down before the job had ended[^\n]*$/);
    expect(await machine.ok(['ps', '-o', 'comm=', '-p', String(number)])).toBe('sleep\n');
    expect(await machine.ok(['sh', '-c', `ls ${kept}/agent/attempts | grep -v ^spare- || true`])).toBe('');
  },
  300_000,
);

async function startServices(machine: SystemdMachine): Promise<void> {
  const labrun = ['/usr/local/bin/node', '/opt/labrun/dist/labrun.js'];
  const service = (name: string, ...argv: string[]) =>
    machine.ok(['systemd-run', `--unit=${name}`, '--collect', '-p', 'KillMode=process', '--', ...labrun, ...argv]);
  await service('head', 'head', 'start', '--data', `${kept}/head`, '--grpc', socket);
  await until('the head answers', () => machine.labrun(['status', '--head', socket]), 30_000);
  await machine.ok(['sh', '-c', `echo 'cpus: 2' > ${kept}/agent.yaml`]);
  const config = ['--config', `${kept}/agent.yaml`, '--dedicated'];
  await service('agent', 'agent', 'start', '--data', `${kept}/agent`, '--head', socket, '--name', 'n1', ...config);
}

/** A shell's text that starts processes until one of them has this number; it leads a session, and stays. */
function takeNumber(number: number): string {
  const start = 'setsid sleep 1000 >/dev/null 2>&1 </dev/null &';
  return `while :; do ${start} [ $! != ${number} ] || exit 0; kill $!; [ $! -lt ${number} ] || exit 1; done`;
}

/** The jobs that began, in order. */
async function starts(machine: SystemdMachine): Promise<string[]> {
  return (await machine.run(['cat', `${kept}/starts`])).stdout.trim().split('\n').filter(Boolean);
}

async function recordHolds(machine: SystemdMachine, text: string): Promise<boolean> {
  return (await machine.run(['grep', '-qra', text, `${kept}/agent/record`])).code === 0;
}

async function bootId(machine: SystemdMachine): Promise<string> {
  return (await machine.ok(['cat', '/proc/sys/kernel/random/boot_id'])).trim();
}
