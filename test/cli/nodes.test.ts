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
