import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { sharedLab } from '../kit/lab.ts';

const lab = sharedLab();

it('never writes through a link that a job archived under the name of a part', async () => {
  const victim = lab().path('victim');
  writeFileSync(victim, 'mine\n');
  const text = 'x'.repeat(300); // longer than the link's own size, which a part of the file could have
  const run = `printf ${text} > "$LABRUN_ARCHIVE/x"; ln -s ${victim} "$LABRUN_ARCHIVE/x.labrun-part"`;
  const file = lab().jobFile('evil', { name: 'evil', namespace: 't', jobs: [{ name: 'j', run }] });
  await lab().ok('submit', file, '--wait');
  await lab().ok('pull', 't/evil', '--to', 'got');
  writeFileSync(lab().path('got/evil/j/x'), 'edited');
  await lab().ok('pull', 't/evil', '--to', 'got');
  expect(readFileSync(victim, 'utf8')).toBe('mine\n');
  expect(readFileSync(lab().path('got/evil/j/x'), 'utf8')).toBe(text);
});

it('goes on with the part of an interrupted pull, and makes nothing behind a link in its way', async () => {
  const run = 'mkdir -p "$LABRUN_ARCHIVE/d/deep"; printf 0123456789 > "$LABRUN_ARCHIVE/d/deep/x"';
  const file = lab().jobFile('plain', { name: 'plain', namespace: 't', jobs: [{ name: 'j', run }] });
  await lab().ok('submit', file, '--wait');
  mkdirSync(lab().path('kept/plain/j/d/deep'), { recursive: true });
  writeFileSync(lab().path('kept/plain/j/d/deep/x.labrun-part'), '01234');
  await lab().ok('pull', 't/plain', '--to', 'kept', '--include', 'deep/x$');
  expect(readFileSync(lab().path('kept/plain/j/d/deep/x'), 'utf8')).toBe('0123456789');

  rmSync(lab().path('kept/plain/j/d'), { recursive: true });
  mkdirSync(lab().path('elsewhere'));
  symlinkSync(lab().path('elsewhere'), lab().path('kept/plain/j/d'));
  // Without the folders themselves in the list, which would be refused one by one.
  const refused = await lab().labrun('pull', 't/plain', '--to', 'kept', '--include', 'deep/x$');
  expect(refused, refused.stderr).toMatchObject({ code: 2, stdout: '' });
  expect(refused.stderr).toContain('is a link');
  expect(existsSync(lab().path('elsewhere/deep'))).toBe(false);
});

it('takes no file of the archive for the part of another', async () => {
  const run = 'echo one > "$LABRUN_ARCHIVE/x"; echo three > "$LABRUN_ARCHIVE/x.labrun-part"';
  const file = lab().jobFile('parts', { name: 'parts', namespace: 't', jobs: [{ name: 'j', run }] });
  await lab().ok('submit', file, '--wait');
  await lab().ok('pull', 't/parts', '--to', 'twins');
  writeFileSync(lab().path('twins/parts/j/x'), 'edited');
  await lab().ok('pull', 't/parts', '--to', 'twins');
  const [x, part] = ['x', 'x.labrun-part'].map((name) => readFileSync(lab().path('twins/parts/j', name), 'utf8'));
  expect([x, part]).toEqual(['one\n', 'three\n']);
});
