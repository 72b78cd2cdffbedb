import { existsSync, lstatSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { hashFile } from '../../base/transfer/hash.ts';
import { sharedLab } from '../kit/lab.ts';
import { itWith } from '../kit/real-parts.ts';
import { until } from '../kit/until.ts';

const lab = sharedLab();

async function submitted(name: string, jobs: readonly object[]): Promise<void> {
  const spec = { name, namespace: 't', jobs: jobs.map((job) => ({ needs: { cpus: 1 }, ...job })) };
  await lab().ok('submit', lab().jobFile(`spec-${name}`, spec), '--wait');
}

it("transfers nothing the second time, not even labrun's own files", async () => {
  await submitted('twice', [
    { name: 'a', run: 'echo one > $LABRUN_ARCHIVE/one' },
    { name: 'b', run: 'echo a line of the log' },
  ]);
  const first = await lab().json('pull', 't/twice', '--to', 'got');
  expect(first.files).toBeGreaterThanOrEqual(5); // a file, two logs, two manifests
  const own = lab().path('got/twice/a/.labrun/manifest');
  const before = lstatSync(own).ino;
  const second = await lab().json('pull', 't/twice', '--to', 'got');
  expect(second).toMatchObject({ files: 0, bytes: 0, unchanged: first.files });
  expect(lstatSync(own).ino).toBe(before);
  writeFileSync(own, readFileSync(own)); // the same bytes, but nobody can tell
  expect(await lab().json('pull', 't/twice', '--to', 'got')).toMatchObject({ files: 1 });
});

it('says that a folder is no job file, and takes one for the batch that an earlier pull left it for', async () => {
  await submitted('again', [{ name: 'j', run: 'echo one > $LABRUN_ARCHIVE/one' }]);
  await lab().ok('pull', 't/again');
  expect(statSync(lab().path('again')).isDirectory()).toBe(true);
  mkdirSync(lab().path('somewhere'));
  for (const folder of ['somewhere', '.', './again', lab().path('somewhere')]) {
    const refused = await lab().labrun('pull', folder);
    expect(refused, refused.stderr).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toMatch(/it is a folder.*job file such as/);
  }
  mkdirSync(lab().path('t/again'), { recursive: true });
  expect(await lab().json('pull', 't/again')).toMatchObject({ files: 0 });
});

it('drops the part of something else that a killed pull has left', async () => {
  await submitted('stale', [{ name: 'j', run: 'printf 0123456789 > $LABRUN_ARCHIVE/x' }]);
  mkdirSync(lab().path('old/stale/j'), { recursive: true });
  writeFileSync(lab().path('old/stale/j/x.labrun-part'), 'abcde');
  await lab().ok('pull', 't/stale', '--to', 'old');
  expect(readFileSync(lab().path('old/stale/j/x'), 'utf8')).toBe('0123456789');
  expect(existsSync(lab().path('old/stale/j/x.labrun-part'))).toBe(false);
});

it('goes on where a pull was killed in the middle of a large file', async () => {
  const sizeBytes = 512 * 2 ** 20;
  const run = `{ yes 0123456789 || true; } | head -c ${sizeBytes} > $LABRUN_ARCHIVE/big`;
  await submitted('large', [{ name: 'j', run }]);
  const path = lab().path('far/large/j/big');
  const part = `${path}.labrun-part`;
  const pulling = lab().follow('pull', 't/large', '--to', 'far');
  await until('a part is there', () => existsSync(part) && statSync(part).size > 2 ** 20);
  expect(await pulling.end('SIGKILL')).toMatchObject({ signal: 'SIGKILL' });
  const have = statSync(part).size;
  expect(have).toBeLessThan(sizeBytes);
  const rest = await lab().json('pull', 't/large', '--to', 'far', '--include', '/big$');
  expect(rest).toMatchObject({ files: 1, bytes: sizeBytes - have });
  expect(await hashFile(path)).toBe(await hashFile(`${lab().archive}/t/large/j/big`));
  expect(existsSync(part)).toBe(false);
}, 90_000);

itWith('small disk')(
  'keeps no file that found no room as whole, says where room is missing, and goes on when it is there',
  async () => {
    await submitted('roomy', [{ name: 'j', run: 'head -c 200000 /dev/zero | tr "\\0" x > $LABRUN_ARCHIVE/x' }]);
    const disk = lab().smallDisk(lab().path('narrow'), 2 * 2 ** 20);
    disk.fill(128 * 1024);
    const full = await lab().labrun('pull', 't/roomy', '--to', 'narrow', '--include', '/x$');
    expect(full).toMatchObject({ code: 1, stdout: '' });
    expect(full.stderr).toMatch(/^Cannot write into ".*narrow\/roomy": ENOSPC.*make room/);
    expect(existsSync(lab().path('narrow/roomy/j/x'))).toBe(false);
    disk.free();
    const rest = await lab().json('pull', 't/roomy', '--to', 'narrow', '--include', '/x$');
    expect(rest.files).toBe(1);
    expect(rest.bytes).toBeLessThan(200_000);
    expect(readFileSync(lab().path('narrow/roomy/j/x'), 'utf8')).toBe('x'.repeat(200_000));
  },
);
