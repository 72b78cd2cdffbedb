import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { formatAddress } from '../../base/channel/address.ts';
import { type Captured, capture } from '../kit/processes.ts';
import { program } from '../kit/program.ts';
import { TlsHead } from '../kit/tls-head.ts';

let folder = '';
let head: TlsHead;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'labrun-namespace-'));
  head = await TlsHead.open(join(folder, 'head'));
});
afterEach(async () => {
  await head.close();
  rmSync(folder, { recursive: true });
});

/** A person with a home of their own, logged in at the head. */
async function person(name: string) {
  const home = join(folder, name);
  mkdirSync(home);
  const labrun = (...args: string[]): Promise<Captured> =>
    capture([process.execPath, program, ...args], { cwd: home, env: { PATH: process.env['PATH'] ?? '', HOME: home } });
  const ok = async (...args: string[]) => {
    const said = await labrun(...args);
    expect(said.code, said.stderr).toBe(0);
    return said.stdout;
  };
  const no = async (code: number, says: RegExp, ...args: string[]) => {
    const said = await labrun(...args);
    expect(said, said.stderr).toMatchObject({ code, stdout: '' });
    expect(said.stderr).toMatch(says);
  };
  const submit = (batch: string, namespace: string) => {
    const spec = { name: batch, namespace, jobs: [{ name: 'j', run: 'true' }] };
    writeFileSync(join(home, `${batch}.yaml`), JSON.stringify(spec));
    return ['submit', `${batch}.yaml`];
  };
  const listed = async () => JSON.parse(await ok('namespace', 'list', '--json')).namespaces;
  await ok('login', formatAddress(head.head.address), '--token', await head.token({ userName: name }));
  return { labrun, ok, no, submit, listed };
}

it('lists the namespaces one may read, with their owner and who may use them', async () => {
  const ada = await person('ada');
  const none = await ada.labrun('namespace', 'list');
  expect(none).toMatchObject({ code: 0, stdout: '' });
  expect(none.stderr).toContain('Nobody has submitted anything yet');
  await ada.ok(...ada.submit('heat', 'wing'));
  expect(await ada.listed()).toMatchObject([{ name: 'wing', owner: 'ada', members: [], readable: true }]);
  expect(await ada.ok('namespace', 'list')).toMatch(/^NAMESPACE +OWNER +READ BY +SHARED WITH.*\nwing +ada +every user/);
});

it('lets the owner share a namespace and take that back, and says to others who could', async () => {
  const [ada, grace] = [await person('ada'), await person('grace')];
  await ada.ok(...ada.submit('heat', 'wing'));
  await grace.no(4, /wing.*ada/s, ...grace.submit('mine', 'wing'));
  await grace.no(4, /wing.*ada/s, 'namespace', 'share', 'wing', 'grace');
  expect(await ada.ok('namespace', 'share', 'wing', 'grace')).toBe('"grace" may use "wing"\n');
  expect(await ada.ok('namespace', 'share', 'wing', 'grace')).toBe('It was so already\n');
  expect(await ada.listed()).toMatchObject([{ name: 'wing', members: ['grace'] }]);
  expect(await grace.ok(...grace.submit('mine', 'wing'))).toBe('wing/mine\n');
  const taken = JSON.parse(await ada.ok('namespace', 'unshare', 'wing', 'grace', '--json'));
  expect(taken).toEqual({ changed: true, message: '"grace" may no longer use "wing"' });
  await grace.no(4, /wing.*ada/s, ...grace.submit('more', 'wing'));
});

it('lets the owner close a namespace to readers and open it again', async () => {
  const [ada, eve] = [await person('ada'), await person('eve')];
  await ada.ok(...ada.submit('heat', 'wing'));
  await eve.ok('status', 'wing/heat');
  await eve.no(4, /wing.*ada/s, 'namespace', 'close', 'wing');
  expect(await ada.ok('namespace', 'close', 'wing')).toBe('"wing" may be read by its owner and members alone\n');
  await eve.no(4, /wing.*ada/s, 'status', 'wing/heat');
  expect(await eve.listed()).toEqual([]);
  expect(await ada.ok('namespace', 'list')).toMatch(/wing +ada +members/);
  expect(await ada.ok('namespace', 'open', 'wing')).toBe('"wing" may be read by every user\n');
  await eve.ok('status', 'wing/heat');
  // An admin may, too, on the head itself.
  await ada.ok('namespace', 'close', 'wing', '--data', head.folder);
  await eve.no(4, /wing.*ada/s, 'status', 'wing/heat');
  await ada.no(2, /missing required argument/, 'namespace', 'share', 'wing');
  await ada.no(3, /nowhere/, 'namespace', 'close', 'nowhere', '--data', head.folder);
});
