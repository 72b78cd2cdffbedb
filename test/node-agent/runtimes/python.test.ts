import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { aBatchSpec, aGroup, aJobOrder, noNeeds } from '../../kit/a-job-order.ts';
import { aWorkspace, type WorkspaceKit } from '../../kit/a-workspace.ts';
import { itWith } from '../../kit/real-parts.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

const buildScript = `
import os, sys
assert len(sys.argv) == 1
assert sorted(os.listdir('input')) == ['common.txt', 'renamed.txt']
assert open('initial_files/common.txt').read() == 'common'
open('solver', 'w').write('built')
os.mkdir('distribute_save/left-by-build')
open('input/left-by-build', 'w')
open('initial_files/generated.txt', 'w').write('generated')
`;

const jobScript = `
import os, sys
print('cores', sys.argv[1])
print(sorted(os.listdir('input')))
assert os.listdir('distribute_save') == []
assert open('solver').read() == 'built'
open('solver', 'w').write('spoilt')
os.makedirs('distribute_save/deep/empty')
open('distribute_save/result.txt', 'w').write(open('input/common.txt').read() + '!')
`;

describe("distribute's python batches", () => {
  itWith('python3')('build once in the base directory, and give each job a fresh input and an empty save', async () => {
    const kit = await aWorkspace(scratchFolder());
    const spec = pythonBatch(kit);
    for (const specIndex of [0, 1]) {
      const order = aJobOrder(spec, { specIndex, cpus: 3 });
      const { end, collected } = await kit.run(order);
      const home = kit.workspace.homeOf(order.id);
      const log = readFileSync(join(home, 'log'), 'utf8');
      expect(end, log).toMatchObject({ kind: 'exited', exitCode: 0 });
      const inputs =
        specIndex === 0
          ? "'common.txt', 'generated.txt', 'renamed.txt'"
          : "'common.txt', 'generated.txt', 'own.txt', 'renamed.txt'";
      expect(log).toBe(`cores 3\n[${inputs}]\n`);
      expect(collected.files.map(({ path, kind }) => `${kind} ${path}`)).toEqual([
        'folder deep',
        'folder deep/empty',
        'file result.txt',
      ]);
      expect(readFileSync(join(home, 'archive/result.txt'), 'utf8')).toBe(specIndex === 0 ? 'common!' : 'own common!');
      expect(readdirSync(join(home, 'archive')).sort()).toEqual(['deep', 'result.txt']);
    }
  });

  itWith('python3')('fail when their script fails', async () => {
    const kit = await aWorkspace(scratchFolder());
    const spec = pythonBatch(kit, 'import sys; sys.exit(5)');
    expect((await kit.run(aJobOrder(spec))).end).toMatchObject({ kind: 'exited', exitCode: 5 });
  });
});

function pythonBatch(kit: WorkspaceKit, script = jobScript) {
  const runtime = { kind: 'python' as const, script: { source: 'job.py', as: 'job.py' } };
  const own = [
    { source: 'own.txt', as: 'own.txt' },
    { source: 'own-common.txt', as: 'common.txt' },
  ];
  return aBatchSpec(
    {},
    {
      origin: 'distribute',
      groups: [aGroup({ name: 'first', runtime }), aGroup({ name: 'second', runtime, inputs: own })],
      initialInputs: [
        { source: 'common.txt', as: 'common.txt' },
        { source: 'other.txt', as: 'renamed.txt' },
      ],
      build: {
        runtime: { kind: 'python', script: { source: 'build.py', as: 'build.py' } },
        inputs: [],
        needs: noNeeds,
        timeLimitMs: 0,
      },
      sources: {
        'common.txt': [kit.blobs.file('common')],
        'other.txt': [kit.blobs.file('other')],
        'own.txt': [kit.blobs.file('own')],
        'own-common.txt': [kit.blobs.file('own common')],
        'build.py': [kit.blobs.file(buildScript)],
        'job.py': [kit.blobs.file(script)],
      },
    },
  );
}
