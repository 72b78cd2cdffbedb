import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readCredentials, writeCredentials } from '../../../base/pki/credential-file.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'labrun-credentials-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const some = { head: 'storage:7420', name: 'ada', authorityPem: 'A', certificatePem: 'C', keyPem: 'K' };

it('keeps credentials for their owner alone, and gives them back', async () => {
  const path = join(folder, 'identity', 'credentials.json');
  await writeCredentials(path, some);
  await writeCredentials(path, { ...some, name: 'bob' });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, 'identity')).mode & 0o777).toBe(0o700);
  expect(await readCredentials(path)).toEqual({ ...some, name: 'bob' });
});

it('has none where there are none', async () => {
  expect(await readCredentials(join(folder, 'nothing.json'))).toBeUndefined();
  expect(await readCredentials(join(folder, 'nowhere', 'nothing.json'))).toBeUndefined();
});

it('uses no key that others may read, and says what to do', async () => {
  const path = join(folder, 'credentials.json');
  await writeCredentials(path, some);
  chmodSync(path, 0o640);
  await expect(readCredentials(path)).rejects.toThrow(`others may read it; run "chmod 600 ${path}"`);
});

it('uses no key in a folder where others may write, and a new one closes it', async () => {
  const path = join(folder, 'credentials.json');
  await writeCredentials(path, some);
  chmodSync(folder, 0o775);
  await expect(readCredentials(path)).rejects.toThrow(`run "chmod go-w ${folder}"`);
  await writeCredentials(path, some);
  expect(statSync(folder).mode & 0o777).toBe(0o755);
  expect(await readCredentials(path)).toEqual(some);
});

it('says so when the file is damaged, and shows nothing of it', async () => {
  const path = join(folder, 'credentials.json');
  for (const text of ['', '{"format": 1}', '{"format": 2, "head": "x"}', '[]', 'SECRET']) {
    writeFileSync(path, text, { mode: 0o600 });
    const error = await readCredentials(path).catch((thrown: unknown) => String(thrown));
    expect(error).toContain('it is damaged; log in or join anew');
    expect(error).not.toContain('SECRET');
  }
});
