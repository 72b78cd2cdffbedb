import { expect, it } from 'vitest';
import { resolveFolder } from '../kit/job-folder.ts';

it('asks for bubblewrap, and for an agent that knows it, where something is to be isolated', async () => {
  const jobs = 'jobs:\n  - {name: a, run: x}\n  - {name: b, run: x, isolation: none}\n';
  const { spec } = await resolveFolder({ 'labrun.yaml': `name: a\nisolation: strict\nbuild: {run: make}\n${jobs}` });
  expect(spec.features).toContain('isolation.strict');
  const parts = [spec.build, ...spec.groups].map((part) => [part?.isolation, part?.needs.capabilities]);
  const strict = ['strict', [{ name: 'bubblewrap' }]];
  expect(parts).toEqual([strict, strict, [undefined, []]]);
  const plain = await resolveFolder({ 'labrun.yaml': `name: a\n${jobs}` });
  expect(plain.spec.features).toEqual(['runtime.command']);
});
