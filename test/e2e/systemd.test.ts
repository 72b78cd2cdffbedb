import { expect } from 'vitest';
import { itWith } from '../kit/real-parts.ts';
import { SystemdMachine } from '../kit/systemd-machine.ts';
import { until } from '../kit/until.ts';

const socket = 'unix:/var/lib/labrun-head/head.sock';
const jobFile = `name: long
jobs:
  - name: one
    run: |
      echo began; touch began
      until [ -e /tmp/go-on ]; do sleep 0.1; done
      id -un > who.txt
      ls /home > homes.txt 2>&1 || true
      (touch /etc/labrun-was-here) 2> etc.txt || true
    archive: ["*.txt"]
`;

itWith('systemd')(
  'a job goes on while the installed agent is started again, and its result arrives',
  async () => {
    const machine = await SystemdMachine.boot();
    await machine.labrun(['head', 'install']);
    await machine.labrun(['agent', 'install']);
    expect(await machine.labrun(['agent', 'install'])).toContain('Nothing to do');

    await machine.labrun(['head', 'init', '--data', '/var/lib/labrun-head'], 'labrun');
    await machine.ok(['systemctl', 'start', 'labrun-head']);
    const secret = await until('the head makes a token', () => token(machine));
    const join = ['agent', 'join', '127.0.0.1:7420', '--token', secret, '--data', '/var/lib/labrun-agent'];
    await machine.labrun(join, 'labrun-agent');
    await machine.ok(['systemctl', 'start', 'labrun-agent']);
    await machine.ok(['sh', '-c', 'cat > /tmp/labrun.yaml'], { input: jobFile });
    await until('the head takes the batch', () => machine.labrun(['submit', '/tmp/labrun.yaml', '--head', socket]));
    const job = await until('the job runs', () => jobProcess(machine));

    await machine.ok(['systemctl', 'restart', 'labrun-agent']);
    expect(await jobProcess(machine)).toBe(job);
    await machine.ok(['touch', '/tmp/go-on']);
    await machine.labrun(['wait', 'long', '--head', socket]);

    await machine.labrun(['pull', 'long', '--to', '/root', '--head', socket]);
    expect(await machine.ok(['cat', '/root/long/one/who.txt'])).toBe('labrun-agent\n');
    expect(await machine.ok(['cat', '/root/long/one/homes.txt'])).toContain('Permission denied');
    expect(await machine.ok(['cat', '/root/long/one/etc.txt'])).toContain('Read-only file system');

    await machine.labrun(['agent', 'uninstall', '--purge']);
    await machine.labrun(['head', 'uninstall', '--purge']);
    expect((await machine.run(['id', 'labrun-agent'])).code).not.toBe(0);
    expect(await machine.ok(['ls', '/var/lib'])).not.toContain('labrun');
  },
  300_000,
);

/** A token for a workstation; the head's own socket belongs to its account alone. */
async function token(machine: SystemdMachine): Promise<string> {
  const made = await machine.labrun(['token', 'create', '--node', '--data', '/var/lib/labrun-head'], 'labrun');
  return made.trim();
}

/**
 * The process that runs the job's text, as systemd's machine numbers it. The oldest, since a child that the shell
 * has forked bears the shell's own command line until it has become `sleep`.
 */
async function jobProcess(machine: SystemdMachine): Promise<string | undefined> {
  const { stdout } = await machine.run(['pgrep', '--oldest', '-f', '^bash .*run\\.sh']);
  return stdout.trim() || undefined;
}
