import { chmodSync, lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { closeFolders, findAccount } from '../../../node-agent/scratch/run-as.ts';
import { aBatchSpec, aJobOrder } from '../../kit/a-job-order.ts';
import { aWorkspace } from '../../kit/a-workspace.ts';
import { realPart } from '../../kit/real-parts.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

const script = (text: string) => ({ kind: 'command' as const, run: { kind: 'script' as const, text } });
const needs = { capabilities: [], cpus: 0, ranks: 0, threads: 0, memoryBytes: 0, diskBytes: 0, gpus: 0 };
const isRoot = process.getuid?.() === 0;

describe('the account of jobs', () => {
  it('must be there, must not be root, and can be become by root only', async () => {
    await expect(findAccount('nobody', 1000)).rejects.toThrow('only an agent that runs as root can');
    await expect(findAccount('no-such-account', 0)).rejects.toThrow('there is no such account');
    await expect(findAccount('root', 0)).rejects.toThrow('that is root');
    expect(await findAccount('nobody', 0)).toMatchObject({ name: 'nobody', uid: 65534 });
  });
});

describe.runIf(isRoot)('a job of another account', () => {
  for (const isolation of [undefined, 'strict'] as const) {
    const isThere = isolation === undefined || realPart('bubblewrap').available;
    it.runIf(isThere)(
      `is that account, has its own folders and nothing of the agent (${isolation ?? 'bare'})`,
      async () => {
        const root = await anOpenFolder();
        const account = await findAccount('nobody', 0);
        const kit = await aWorkspace(root, {}, account);
        const text = `
        id -u; cat built; echo kept >$LABRUN_ARCHIVE/result; echo changed >built; touch $TMPDIR/x ~/x
        ls ${root}/supervisors 2>/dev/null && echo sees supervisors
        echo forged >../exit || echo cannot forge
        echo "$WORD"; setpriv --reuid=0 true 2>/dev/null || echo stays`;
        const env = { WORD: 'said', LD_PRELOAD: './evil.so' };
        const build = { runtime: script('id -u >uid; echo product >built'), inputs: [], needs, timeLimitMs: 0 };
        const strict = isolation === undefined ? {} : { isolation };
        const order = aJobOrder(
          aBatchSpec({ runtime: script(text), env, ...strict }, { build: { ...build, ...strict } }),
        );
        const { end, collected } = await kit.run(order);
        const home = kit.workspace.homeOf(order.id);
        const log = readFileSync(join(home, 'log'), 'utf8');
        const said = log
          .split('\n')
          .filter((line) => line !== '' && !line.includes('evil.so') && !line.includes('../exit'));
        expect(said, log).toEqual(['65534', 'product', 'cannot forge', 'said', 'stays']);
        expect(end).toMatchObject({ kind: 'exited', exitCode: 0 });
        expect(collected.files.map(({ path }) => path)).toEqual(['result']);
        expect(lstatSync(join(home, 'exit')).uid).toBe(0);
        await kit.workspace.wipe(order.id);
      },
    );
  }
});

/** As an agent with `runAs` has it. */
async function anOpenFolder(): Promise<string> {
  const root = scratchFolder();
  await closeFolders(root);
  chmodSync(root, 0o711);
  return root;
}
