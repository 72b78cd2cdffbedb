import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { capture } from '../kit/processes.ts';
import { program } from '../kit/program.ts';

it.each([
  [['labrun', 'ret'], ['retry']],
  [
    ['labrun', 'head', ''],
    ['init', 'backup', 'restore', 'start', 'install', 'uninstall', 'help'],
  ],
  [['labrun', 'head', 'start', '--gr'], ['--grpc']],
  [['labrun', 'status', 'heat', '--sta'], ['--state']],
  [['labrun', '--he'], ['--head']],
  [['labrun', 'kil'], []],
])('completes "%s" in bash', async (words, offered) => {
  const folder = mkdtempSync(join(tmpdir(), 'completion-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const script = await capture([process.execPath, program, 'completion', 'bash']);
  writeFileSync(join(folder, 'labrun.bash'), script.stdout);
  const list = words.map((word) => `'${word}'`).join(' ');
  const asked = `source ${folder}/labrun.bash; COMP_WORDS=(${list}); COMP_CWORD=${words.length - 1}; _labrun
    for reply in "\${COMPREPLY[@]}"; do echo "$reply"; done`;
  const { stdout, stderr } = await capture(['bash', '-c', asked]);
  expect(stderr).toBe('');
  expect(stdout.split('\n').filter((line) => line !== '' && (words.at(-1) !== '' || !line.startsWith('-')))).toEqual(
    offered,
  );
});

it('offers every command to zsh and fish, too, and refuses a shell it does not know', async () => {
  for (const shell of ['zsh', 'fish']) {
    const { stdout, code } = await capture([process.execPath, program, 'completion', shell]);
    expect(code).toBe(0);
    for (const name of ['submit', 'results', 'completion']) expect(stdout).toContain(name);
    expect(stdout).not.toContain('server-status');
  }
  const { code, stderr } = await capture([process.execPath, program, 'completion', 'tcsh']);
  expect(code).toBe(2);
  expect(stderr).toMatch(/tcsh.*bash, zsh, fish/);
});
