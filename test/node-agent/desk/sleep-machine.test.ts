import { expect } from 'vitest';
import { itWith } from '../../kit/real-parts.ts';
import { SystemdMachine } from '../../kit/systemd-machine.ts';
import { until } from '../../kit/until.ts';

/** A kernel that can sleep, as far as logind sees; then it does all it does, and sleep lasts until somebody wakes it. */
const canSleep = `
mkdir /tmp/sys; mount -t tmpfs sys /tmp/sys
for d in /sys/*; do mkdir /tmp/sys/\${d##*/}; mount --rbind $d /tmp/sys/\${d##*/}; done
mkdir /tmp/sys/power; echo mem > /tmp/sys/power/state; mount --rbind /tmp/sys /sys
mkdir -p /run/systemd/system/systemd-suspend.service.d
printf '[Service]\\nExecStart=\\nExecStart=/bin/sh -c "until [ -e /tmp/awake ]; do sleep 0.1; done"\\n' > /run/systemd/system/systemd-suspend.service.d/x.conf
systemctl daemon-reload; systemctl restart systemd-logind; useradd -m ada`;

itWith('systemd')(
  'a machine is kept awake while a job runs and no longer, and where it may sleep the head knows before it does',
  async () => {
    const machine = await SystemdMachine.boot();
    await machine.ok(['sh', '-c', canSleep]);
    const site = await aSite(machine, 'root');
    expect(await site.held()).toEqual([]);
    expect((await site.state()).sleep).toContain('no job runs');
    await site.submit('one');
    await until('sleep is blocked', async () => (await site.held()).includes('block'));
    expect((await site.state()).sleep).toContain('kept awake');
    // Nothing of a killed agent holds the machine awake; the next one does again.
    await site.end('KILL');
    await until('it is held no longer', async () => (await site.held()).length === 0);
    await site.startAgent();
    await until('it is held again', async () => (await site.held()).includes('block'));

    const terminal = machine.start(['script', '-qfc', 'login -f ada', '/dev/null'], { typed: true });
    await machine.ok(['sh', '-c', `echo '{notices: wall}' | ${site.desk('policy', 'set', '-')}`]);
    // Root may suspend in spite of that, as a closed lid does.
    await until('sleep would wait for a word', async () => (await site.held()).includes('delay'));
    await machine.ok(['systemctl', 'suspend']);
    await until('it sleeps', async () =>
      (await machine.run(['systemctl', 'status', 'systemd-suspend'])).stdout.includes('activating'),
    );
    // The head knew before, and nothing makes it wait any more.
    expect(await site.held()).toEqual(['block']);
    expect(await site.labrun('why', 'sleepy/one')).toContain('is asleep');
    expect(await site.state()).toMatchObject({ step: 'pause', cause: 'asleep', jobs: [{ state: 'paused' }] });
    await machine.ok(['touch', '/tmp/awake']);
    const awake = await until('it goes on', async () => {
      const state = await site.state();
      return state.step === 'none' ? state : undefined;
    });
    expect(awake.jobs).toMatchObject([{ state: 'running' }]);
    expect(awake.jobs[0].pausedMs).toBeGreaterThan(0);
    expect(await site.labrun('why', 'sleepy/one')).not.toContain('asleep');
    await until('sleep would wait again', async () => (await site.held()).includes('delay'));
    await machine.ok(['sh', '-c', `echo '{notices: wall, sleep: allow}' | ${site.desk('policy', 'set', '-')}`]);
    await until('nothing blocks sleep', async () => (await site.held()).join() === 'delay');

    await machine.ok(['touch', '/tmp/end']);
    await terminal.line(/labrun: no job runs on this machine any more/);
    await until('nothing is held', async () => (await site.held()).length === 0);
    await site.end('TERM');

    // An ordinary account may not, unless somebody lets it; it says so and works on.
    await machine.ok(['rm', '/tmp/end', '/tmp/awake']);
    const refused = await aSite(machine, 'ada');
    await refused.submit('one');
    const { sleep } = await until('it is refused', async () => {
      const state = await refused.state();
      return /cannot/.test(state.sleep) ? state : undefined;
    });
    expect(sleep).toContain('Access denied');
    await machine.ok(['systemctl', 'suspend']);
    await until('it says what it can', async () => (await refused.state()).cause === 'asleep');
    await machine.ok(['touch', '/tmp/awake', '/tmp/end']);
    await refused.labrun('wait', 'sleepy');
  },
  120_000,
);

/** A head and an agent in the machine, as processes of one account. */
async function aSite(machine: SystemdMachine, account: string) {
  const folder = `/home/site-${account}`;
  const head = `unix:${folder}/head.sock`;
  const labrun = (...args: string[]) => machine.labrun([...args, '--head', head], account);
  const as = ['runuser', '-u', account, '--', '/usr/local/bin/node', '/opt/labrun/dist/labrun.js'];
  await machine.ok(['install', '-d', '-o', account, folder]);
  await machine.labrun(['head', 'init', '--data', `${folder}/head`], account);
  const service = machine.start([...as, 'head', 'start', '--data', `${folder}/head`, '--grpc', head]);
  await service.line(/listening on/);
  const where = ['--data', `${folder}/agent`, '--head', head, '--name', 'desk', '--dedicated'];
  const startAgent = async () => {
    const line = [...as.slice(4), 'agent', 'start', ...where].join(' ');
    const agent = machine.start([...as.slice(0, 4), 'sh', '-c', `echo $$ > ${folder}/agent.pid; exec ${line}`]);
    await agent.line(/: connected to/);
  };
  await startAgent();
  const site = {
    labrun,
    startAgent,
    end: (signal: string) => machine.ok(['sh', '-c', `kill -${signal} $(cat ${folder}/agent.pid)`]),
    /** A command of the desk, as a shell takes it. */
    desk: (...args: string[]) => [...as, 'desk', ...args, '--data', `${folder}/agent`].join(' '),
    state: async () => JSON.parse(await machine.ok(['sh', '-c', site.desk('status', '--json')])),
    /** A job that runs until there is a file. */
    async submit(name: string): Promise<void> {
      const run = 'until [ -e /tmp/end ]; do sleep 0.1; done';
      const spec = JSON.stringify({ name: 'sleepy', jobs: [{ name, run }] });
      await machine.ok(['sh', '-c', `cat > ${folder}/labrun.yaml`], { input: spec });
      await labrun('submit', `${folder}/labrun.yaml`);
    },
    /** How labrun keeps the machine from sleep now. */
    async held(): Promise<readonly string[]> {
      const list = await machine.ok(['systemd-inhibit', '--list', '--no-pager', '--no-legend']);
      const ours = list.split('\n').filter((line) => line.startsWith('labrun'));
      return ours.flatMap((line) => line.trim().split(/\s+/).at(-1) ?? []);
    },
  };
  return site;
}
