import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { beforeAll, describe, expect, it } from 'vitest';
import { sharedLab } from '../kit/lab.ts';
import { type Captured, capture } from '../kit/processes.ts';
import { program } from '../kit/program.ts';
import { itWith } from '../kit/real-parts.ts';

const lab = sharedLab();

describe('completion of selectors', () => {
  beforeAll(async () => {
    const jobs = [{ name: 'j', matrix: { i: ['1', '2'] }, needs: { capabilities: ['unobtainium'] }, run: 'true' }];
    for (const [name, namespace] of [['heat'], ['heap'], ['mixture', 'heaven']])
      await lab().ok('submit', lab().jobFile(`${name}`, { name, namespace, jobs }));
    mkdirSync(lab().path('bin'));
    writeFileSync(lab().path('bin/labrun'), `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`, {
      mode: 0o755,
    });
    for (const shell of ['bash', 'zsh', 'fish'])
      writeFileSync(lab().path(`labrun.${shell}`), await lab().ok('completion', shell));
  });

  const env = (more: Record<string, string> = {}) => ({
    ...lab().env,
    PATH: `${lab().path('bin')}:${process.env['PATH']}`,
    ...more,
  });
  const lines = (said: Captured) => {
    expect(said.stderr).toBe('');
    return said.stdout.split('\n').filter((line) => line !== '' && !line.startsWith('-'));
  };

  /** What real bash offers for the last word. */
  async function inBash(words: readonly string[], more: Record<string, string> = {}): Promise<string[]> {
    const list = words.map((word) => `'${word}'`).join(' ');
    const asked = `set -u; source ${lab().path('labrun.bash')}; COMP_WORDS=(${list}); COMP_CWORD=${words.length - 1}
      _labrun; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return lines(await capture(['bash', '-c', asked], { env: env(more) }));
  }

  it.each([
    [
      ['status', 'hea'],
      ['heap', 'heat', 'heaven/mixture'],
    ],
    [['why', 'heat'], ['heat']],
    [
      ['logs', 'heat/'],
      ['heat/j-i-1', 'heat/j-i-2'],
    ],
    [['pull', 'heaven/'], ['heaven/mixture']],
    [['cancel', 'heaven/mixture/j-i-2'], ['heaven/mixture/j-i-2']],
    [['hold', '--state', 'queued', 'heap'], ['heap']],
    [['results', 'no-such'], []],
    [['retry', 'heat/*'], []],
    [['wait', 'a/b/c/d'], []],
    [['release', '--state', ''], []],
  ])('offers bash for "%s" what the head knows', async (words, offered) => {
    expect((await inBash(['labrun', ...words])).toSorted()).toEqual(offered);
  });

  it('asks the head that the line names', async () => {
    const elsewhere = { LABRUN_HEAD: 'unix:/nowhere/head.sock' };
    expect(await inBash(['labrun', 'status', 'heat'], elsewhere)).toEqual([]);
    expect(await inBash(['labrun', '--head', lab().address, 'status', 'heat'], elsewhere)).toEqual(['heat']);
  });

  it('is silent and soon done when nobody answers', async () => {
    const mute = createServer();
    await new Promise<void>((listening) => mute.listen(0, '127.0.0.1', listening));
    const bound = mute.address();
    const port = typeof bound === 'object' ? bound?.port : 0;
    const labrun = (...args: string[]) =>
      capture([process.execPath, program, '__complete', ...args], { env: env(), timeoutMs: 15_000 });
    for (const head of [`127.0.0.1:${port}`, 'unix:/nowhere/head.sock', 'example.org:7420', 'nonsense'])
      expect(await labrun('he', '--head', head), head).toEqual({ code: 0, signal: null, stdout: '', stderr: '' });
    mute.close();
  });

  itWith('zsh')('offers zsh the same, through its own bashcompinit', async () => {
    const asked = `autoload -U +X compinit && compinit -u -D; source ${lab().path('labrun.zsh')}
      COMP_WORDS=(labrun status hea); COMP_CWORD=2; compgen -F _labrun -- hea`;
    expect(lines(await capture(['zsh', '-fc', asked], { env: env() })).toSorted()).toEqual([
      'heap',
      'heat',
      'heaven/mixture',
    ]);
  });

  itWith('fish')('offers fish the same', async () => {
    const asked = `source ${lab().path('labrun.fish')}; complete -C 'labrun status hea'`;
    const offered = lines(await capture(['fish', '--no-config', '-c', asked], { env: env() }));
    expect(offered).toEqual(expect.arrayContaining(['heap', 'heat', 'heaven/mixture']));
  });
});
