import { expect } from 'vitest';
import { sharedLab } from '../kit/lab.ts';
import { itWith } from '../kit/real-parts.ts';
import { tree } from '../kit/trees.ts';

const lab = sharedLab();

itWith('bubblewrap')('an isolated batch builds, runs and is archived where the node says that it can', async () => {
  const { nodes } = await lab().json('nodes');
  expect(JSON.stringify(nodes[0].capabilities)).toContain('bubblewrap');
  const file = lab().jobFile(
    'walled',
    {
      name: 'walled',
      namespace: 't',
      isolation: 'strict',
      build: { run: 'tr a-z A-Z <word.txt >loud.txt', files: ['word.txt'] },
      jobs: [
        {
          name: 'j',
          needs: { cpus: 1 },
          run: `cat loud.txt; ls ${lab().agentFolder('n1')}; [ ! -e ${lab().path('head')} ]; echo done >$LABRUN_ARCHIVE/result`,
        },
      ],
    },
    { 'word.txt': 'hello\n' },
  );
  await lab().ok('submit', file, '--wait');
  // Of the agent's folder it sees the ways to its own folder and to its build.
  expect(await lab().ok('logs', 't/walled/j')).toBe('HELLO\nattempts\nbuilds\n');
  expect(tree(`${lab().archive}/t/walled/j`)).toEqual({ result: 'done\n' });
});
