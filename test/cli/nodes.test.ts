import { userInfo } from 'node:os';
import { expect, it } from 'vitest';
import { sharedLab } from '../kit/lab.ts';
import { realPart } from '../kit/real-parts.ts';

const lab = sharedLab();

it('says as whom jobs run on a node, which isolation it can do, and warns of root', async () => {
  const { username } = userInfo();
  const isolation = realPart('bubblewrap').available ? 'strict' : 'none';
  const root = username === 'root';
  expect((await lab().json('nodes')).nodes).toMatchObject([{ jobsAccount: username, agentIsRoot: root, isolation }]);
  const { code, stdout, stderr } = await lab().labrun('nodes');
  expect(code).toBe(0);
  expect(stdout).toMatch(new RegExp(`^NODE .* JOBS AS +ISOLATES .*\\nn1 .* ${username} +${isolation} `));
  if (root) expect(stderr).toMatch(/Jobs run as root on n1: .*runAs/);
  else expect(stderr).toBe('');
});

it('drains a node and lets it have jobs again, and says which it was', async () => {
  expect(await lab().ok('drain', 'n1', '--reason', 'a new disk')).toBe('n1 gets no new jobs\n');
  expect(await lab().ok('drain', 'n1', '--reason', 'a new disk')).toBe('It was so already\n');
  expect((await lab().json('nodes')).nodes).toMatchObject([{ state: 'drained', drained: { reason: 'a new disk' } }]);
  expect(await lab().ok('nodes')).toMatch(/^n1 is drained by \S+ since .*: "a new disk"$/m);
  expect(await lab().json('undrain', 'n1')).toEqual({ node: 'n1', changed: true, running: 0 });
  expect((await lab().json('nodes')).nodes).toMatchObject([{ state: 'connected', drained: null }]);
  expect((await lab().labrun('drain', 'nobody')).code).toBe(3);
});
