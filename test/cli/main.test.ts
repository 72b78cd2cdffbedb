import { spawn } from 'node:child_process';
import { expect, it } from 'vitest';
import { capture } from '../kit/processes.ts';
import { program } from '../kit/program.ts';

function labrun(...args: string[]) {
  return capture([process.execPath, program, ...args], { env: { PATH: process.env['PATH'] ?? '', HOME: '/nowhere' } });
}

it('explains itself and exits 0', async () => {
  const { code, stdout } = await labrun('--help');
  expect(code).toBe(0);
  for (const name of ['status', 'wait', 'retry', 'LABRUN_HEAD']) expect(stdout).toContain(name);
  expect(stdout).not.toMatch(/\bkill\b/); // an alias for people who know it from elsewhere
});

it('exits 2 for what it cannot read, and names it', async () => {
  for (const [args, says] of [
    [['no-such-command'], 'no-such-command'],
    [['status', '--no-such-option'], '--no-such-option'],
    [['status', 'a', 'b'], 'too many arguments'],
    [['wait'], 'SEL'],
    [['status', 'a', '--state', 'done'], 'done'],
    [['nodes', '--head', 'example.org:7420'], 'loopback'],
  ] as const) {
    const said = await labrun(...args);
    expect(said, said.stderr).toMatchObject({ code: 2, stdout: '' });
    expect(said.stderr).toContain(says);
  }
});

it('exits 4 when no head answers, and says where it looked and what to do', async () => {
  const said = await labrun('nodes', '--head', 'unix:/nowhere/head.sock');
  expect(said).toMatchObject({ code: 4, stdout: '' });
  expect(said.stderr).toMatch(/unix:\/nowhere\/head\.sock.*LABRUN_HEAD/s);
});

it('ends quietly when its reader goes away', async () => {
  const child = spawn(process.execPath, [program, '--help'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let errors = '';
  child.stderr.on('data', (data) => {
    errors += data;
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  expect({ code, errors }).toEqual({ code: 0, errors: '' });
});
