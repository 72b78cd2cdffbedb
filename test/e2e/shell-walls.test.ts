import { chmodSync, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { aShell, askForShell } from '../kit/a-shell.ts';
import { type Lab, ownLab } from '../kit/lab.ts';
import { processesNaming } from '../kit/proc.ts';
import { program } from '../kit/program.ts';
import { itWith } from '../kit/real-parts.ts';
import { until } from '../kit/until.ts';

const itInTerminal = itWith('tmux', 'node-pty');

describe.runIf(process.getuid?.() === 0)('where jobs run as another account', () => {
  itWith('tmux', 'node-pty', 'bubblewrap')(
    'a terminal is behind the walls of its job, with its environment and its capabilities, and its own in name',
    async () => {
      const lab = await ownLab({ agents: {} });
      chmodSync(lab.folder, 0o711);
      const capabilities = { tool: { env: { TOOL_ROOT: '/opt/tool' }, setup: 'export TOOL_READY=yes' } };
      await lab.startAgent('n1', { capabilities, settings: { runAs: 'nobody' } });
      const work = await runJob(lab, {
        isolation: 'strict',
        needs: { cpus: 1, capabilities: ['tool'] },
        env: { OWN: 'a b' },
      });
      const window = await aShell(lab, 't/wait');
      await window.line('clear; echo "$(id -un) $TOOL_ROOT $TOOL_READY $OWN $LABRUN_JOB."; stat -c "%U %a" $(tty)');
      await window.shows(/^nobody \/opt\/tool yes a b j\.\s+nobody 1600$/m);
      await window.line(
        `clear; ls ${lab.path('head')} ${lab.agentFolder('n1')}/record /proc/1/root/root; ls; echo "no $?"`,
      );
      await window.shows(/^no 0$/m);
      expect((await window.shows(/no 0/)).match(/cannot/g)?.length).toBe(3);
      await window.line('echo mine >made; exit');
      await window.shows(/\[ended with 0\]/);
      expect(existsSync(join(work, 'made'))).toBe(true);
      const node = await aShell(lab, '--node', 'n1');
      await node.line(`clear; id -un; touch here && ls; ls ${lab.agentFolder('n1')}/shells; echo "no $?"`);
      await node.shows(/^nobody\s+here\s+ls: cannot open[\s\S]*^no 2$/m);
    },
    60_000,
  );
});

itInTerminal(
  'a killed agent leaves no terminal: what hides from the end of its window is ended by the next agent',
  async () => {
    const lab = await ownLab();
    await runJob(lab, { needs: { cpus: 1 } });
    const window = await aShell(lab, 't/wait');
    await window.line('env -i setsid sleep 3001 & sleep 3002');
    const sleepers = () => processesNaming(lab.folder).filter(({ command }) => /^sleep 300[12]$/.test(command)).length;
    await until('they sleep', () => sleepers() === 2);
    await lab.agents.get('n1')?.end('SIGKILL');
    await window.shows(/The shell has ended: the connection to "n1" was lost[\s\S]*\[ended with 1\]/);
    await lab.startAgent('n1');
    await until('nothing of it is left', () => sleepers() === 0);
    expect(readdirSync(join(lab.agentFolder('n1'), 'shells'))).toEqual([]);
    // The job has gone on, and takes another.
    await aShell(lab, 't/wait');
  },
  60_000,
);

itInTerminal(
  'says so where node-pty is missing',
  async () => {
    const lab = await ownLab({ agents: {} });
    const hooks = `export async function resolve(name, context, next) {
      if (name === 'node-pty') throw new Error('it is not installed');
      return next(name, context);
    }`;
    const hide = `import { register } from 'node:module'; register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(hooks)}`)});`;
    const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(hide)}`;
    const where = ['--data', lab.agentFolder('n1'), '--head', lab.address, '--name', 'n1', '--dedicated'];
    const agent = lab.run([process.execPath, program, 'agent', 'start', ...where], { ...lab.env, NODE_OPTIONS });
    await agent.line(/: connected to/);
    const window = await askForShell(lab, '--node', 'n1');
    await window.shows(/Cannot open a terminal on this node: it has no node-pty[\s\S]*\[ended with 1\]/, 20_000);
  },
  60_000,
);

itInTerminal(
  'Ctrl-C comes through a flood of words, and no key is lost in a flood of keys',
  async () => {
    const lab = await ownLab();
    const work = await runJob(lab, { needs: { cpus: 1 } });
    const window = await aShell(lab, 't/wait');
    await window.line('yes "a flood of words that nobody can read as fast as it comes"');
    await window.shows(/a flood of words that nobody[\s\S]*a flood/);
    await window.type('C-c');
    await window.line('clear; echo "over $((6 * 7))"');
    await window.shows(/^over 42$/m, 30_000);
    // A program that does not read for a while, and more keys than the kernel holds for it: none is lost.
    await window.line('clear; stty raw -echo; touch raw; sleep 3; head -c 120000 | wc -c; stty sane');
    await until('it does not read', () => existsSync(join(work, 'raw')));
    for (let piece = 0; piece < 10; piece += 1) await window.type('-l', 'q'.repeat(12_000));
    await window.shows(/^ *120000$/m, 45_000);
  },
  60_000,
);

/** Submits a job that waits, and resolves with its folder when it does. */
async function runJob(lab: Lab, { isolation, ...job }: Readonly<Record<string, unknown>>): Promise<string> {
  const run = 'touch begun; while [ ! -e end ]; do sleep 0.1; done';
  const spec = {
    name: 'wait',
    namespace: 't',
    ...(isolation ? { isolation } : {}),
    jobs: [{ name: 'j', ...job, run }],
  };
  await lab.ok('submit', lab.jobFile('wait', spec));
  const attempts = join(lab.agentFolder('n1'), 'attempts');
  const work = await until('the job runs', () => {
    const found = readdirSync(attempts).map((name) => join(attempts, name, 'work'));
    return found.find((folder) => existsSync(join(folder, 'begun')));
  });
  await lab.untilStatus('t/wait', 'it runs', ({ counts }) => counts.running === 1);
  return work;
}
