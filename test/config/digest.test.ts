import { describe, expect, it } from 'vitest';
import { buildDigest, jobDigest } from '../../config/digest.ts';
import type { BatchSpec } from '../../config/spec.ts';
import { aBuild, aGroup, aMatrix, aSpec } from '../kit/spec.ts';

const file = (digit: string) => [
  { kind: 'file' as const, path: '', hash: `blake3:${digit.repeat(64)}`, sizeBytes: 1, mode: 0o644 },
];
const sweep = (over: Partial<BatchSpec> = {}) =>
  aSpec({
    sources: { 'coarse.msh': file('1'), 'fine.msh': file('2'), 'case.txt': file('3') },
    groups: [
      aGroup({
        matrix: aMatrix({ mesh: ['coarse', 'fine'] }),
        inputs: [
          { source: '{{mesh}}.msh', as: 'mesh' },
          { source: 'case.txt', as: 'case.txt' },
        ],
      }),
    ],
    ...over,
  });
const digests = (spec: BatchSpec) => [jobDigest(spec, 0), jobDigest(spec, 1)];

describe('the digest of a job', () => {
  it('is the same for the same job in another spec, and differs between jobs', () => {
    const [coarse, fine] = digests(sweep());
    expect(digests(sweep({ name: 'other' }))).toEqual([coarse, fine]);
    expect(coarse).not.toBe(fine);
  });

  it('changes for the one job whose own file changed', () => {
    const [coarse, fine] = digests(sweep());
    const [coarseAfter, fineAfter] = digests(
      sweep({ sources: { 'coarse.msh': file('1'), 'fine.msh': file('9'), 'case.txt': file('3') } }),
    );
    expect(coarseAfter).toBe(coarse);
    expect(fineAfter).not.toBe(fine);
  });

  it('changes for every job with a shared file, the environment or the build', () => {
    const before = digests(sweep());
    const shared = sweep({ sources: { 'coarse.msh': file('1'), 'fine.msh': file('2'), 'case.txt': file('9') } });
    for (const after of [shared, sweep({ env: { A: '1' } }), sweep({ build: aBuild() })]) {
      expect(digests(after)).not.toContain(before[0]);
      expect(digests(after)).not.toContain(before[1]);
    }
  });

  it('stays when a job gets more time or more tries', () => {
    const [group] = sweep().groups;
    const patient = sweep({ groups: [aGroup({ ...group, timeLimitMs: 1, retries: 3 })] });
    expect(digests(patient)).toEqual(digests(sweep()));
  });

  it('stays when only rows are added', () => {
    const [group] = sweep().groups;
    const more = sweep({
      groups: [aGroup({ ...group, matrix: aMatrix({ mesh: ['coarse', 'fine', 'finer'] }), count: 3 })],
    });
    expect(digests(more)).toEqual(digests(sweep()));
  });

  it('costs a few microseconds a job: 100,000 of them are no burden', () => {
    const numbers = (size: number) => Array.from({ length: size }, (_, at) => `${at}`);
    const spec = aSpec({ groups: [aGroup({ matrix: aMatrix({ a: numbers(400), b: numbers(250) }) })] });
    const started = performance.now();
    for (let index = 0; index < 100_000; index++) jobDigest(spec, index);
    expect(performance.now() - started).toBeLessThan(15_000);
  });
});

describe('the digest of a build', () => {
  it('is empty without a build, and depends on namespace, command, files and environment, not on jobs', () => {
    expect(buildDigest(aSpec())).toBe('');
    const build = aBuild({ inputs: [{ source: 'a.c', as: 'a.c' }] });
    const base = { build, sources: { 'a.c': file('1') } };
    const digest = buildDigest(aSpec(base));
    expect(buildDigest(aSpec({ ...base, name: 'other', groups: [aGroup({ name: 'x' })] }))).toBe(digest);
    for (const change of [
      { namespace: 'other' },
      { sources: { 'a.c': file('2') } },
      { env: { CC: 'gcc' } },
      { build: aBuild({ ...build, runtime: { kind: 'command', run: { kind: 'script', text: 'make' } } }) },
    ])
      expect(buildDigest(aSpec({ ...base, ...change })), JSON.stringify(change)).not.toBe(digest);
  });
});
