import { chmodSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ownLab } from '../kit/lab.ts';
import { tree } from '../kit/trees.ts';

describe.runIf(process.getuid?.() === 0)('an agent that runs as root', () => {
  it('runs builds and jobs as the account that its settings name', async () => {
    const lab = await ownLab({ agents: {} });
    chmodSync(lab.folder, 0o711);
    await lab.startAgent('n1', { settings: { runAs: 'nobody' } });
    const file = lab.jobFile(
      'other',
      {
        name: 'other',
        namespace: 't',
        build: { run: 'cp word.txt built.txt; id -un >who.txt', files: ['word.txt'] },
        jobs: [
          {
            name: 'j',
            needs: { cpus: 1 },
            run: `id -un; cat who.txt built.txt; echo new >own.txt; ls ${lab.agentFolder('n1')}/record 2>/dev/null || echo closed`,
            archive: ['own.txt'],
          },
        ],
      },
      { 'word.txt': 'hello\n' },
    );
    await lab.ok('submit', file, '--wait');
    expect(await lab.ok('logs', 't/other/j')).toBe('nobody\nnobody\nhello\nclosed\n');
    expect(tree(`${lab.archive}/t/other/j`)).toEqual({ 'own.txt': 'new\n' });
    const { nodes } = await lab.json('nodes');
    expect(nodes[0]).toMatchObject({ jobsAccount: 'nobody', agentIsRoot: true });
    expect(await lab.ok('nodes')).toMatch(/^n1 .* nobody \(agent: root\) /m);
    expect(JSON.stringify(nodes[0].capabilities)).not.toContain('apptainer');
  });

  it('does not start when there is no such account', async () => {
    const lab = await ownLab({ agents: {} });
    const agent = lab.launchAgent('n1', { settings: { runAs: 'no-such-account' } });
    await agent.line(/Cannot run jobs as "no-such-account": there is no such account on this machine/);
  });
});
