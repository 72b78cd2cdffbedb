import { spawn } from 'node:child_process';
import { expect, it } from 'vitest';
import { capture } from '../kit/processes.ts';
import { program, repository } from '../kit/program.ts';

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
  ] as const) {
    const said = await labrun(...args);
    expect(said, said.stderr).toMatchObject({ code: 2, stdout: '' });
    expect(said.stderr).toContain(says);
  }
});

it('exits 4 rather than speak in plain text on a network', async () => {
  const said = await labrun('nodes', '--head', 'example.org:7420');
  expect(said, said.stderr).toMatchObject({ code: 4, stdout: '' });
  expect(said.stderr).toContain('labrun login example.org:7420');
});

it('exits 4 when no head answers, and says where it looked and what to do', async () => {
  const beganMs = performance.now();
  for (const args of [['nodes'], ['pull', 'a'], ['wait', 'a'], ['logs', 'a/b', '-f'], ['events', '-f']]) {
    const said = await labrun(...args, '--head', 'unix:/nowhere/head.sock');
    expect(said).toMatchObject({ code: 4, stdout: '' });
    expect(said.stderr).toMatch(/unix:\/nowhere\/head\.sock.*LABRUN_HEAD/s);
  }
  expect(performance.now() - beganMs).toBeLessThan(20_000); // nobody is waited for who was never there
}, 40_000);

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

it('validates a job file without a head, and names what is wrong in it', async () => {
  const fine = await labrun('validate', `${repository}/examples/heat/labrun.yaml`);
  expect(fine, fine.stderr).toMatchObject({ code: 0, stderr: '' });
  expect(fine.stdout).toMatch(/heat.* 6 jobs/);
  const missing = await labrun('validate', '/nowhere/labrun.yaml');
  expect(missing, missing.stderr).toMatchObject({ code: 2, stdout: '' });
  expect(missing.stderr).toContain('/nowhere/labrun.yaml');
});

it('refuses options of submit that make no sense together, before it looks for a head', async () => {
  const file = `${repository}/examples/heat/labrun.yaml`;
  for (const [options, says] of [
    [['--add', '--replace'], /--add.*--replace/],
    [['--changed'], /--add --changed/],
  ] as const) {
    const said = await labrun('submit', file, ...options);
    expect(said, said.stderr).toMatchObject({ code: 2, stdout: '' });
    expect(said.stderr).toMatch(says);
  }
});

it('tells scripts that ask for JSON what went wrong, as one object', async () => {
  for (const [args, error] of [
    [['status', '--json', '--no-such-option'], { code: 'usage', message: "unknown option '--no-such-option'" }],
    [['nodes', '--json', '--head', 'unix:/nowhere/head.sock'], { code: 'no-head' }],
    [['nodes', '--json', '--head', 'nonsense'], { code: 'invalid' }],
    [['validate', '--json', '/nowhere/labrun.yaml'], { code: 'config' }],
  ] as const) {
    const said = await labrun(...args);
    expect(said.stdout).toBe('');
    expect(JSON.parse(said.stderr), said.stderr).toMatchObject({ error });
  }
});

it('says that nobody got the answer when the disk has no room for it', async () => {
  const full = ['sh', '-c', '"$@" > /dev/full', 'sh', process.execPath, program];
  const env = { PATH: process.env['PATH'] ?? '', HOME: '/nowhere' };
  for (const args of [['template', 'command'], ['template', 'command', '--json'], ['--help']]) {
    const { code, stderr } = await capture([...full, ...args], { env });
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^Cannot write the answer: ENOSPC.*\n$/),
    });
  }
});
