import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { readIdentity, type TrackingName } from '../../../node-agent/executor/identity.ts';
import { isAlive } from '../../../node-agent/executor/process-table.ts';
import { anExecutor, endAllOf } from '../../kit/an-executor.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { until } from '../../kit/until.ts';

const top = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
// Below the repository, so that packages are found from there.
const program = join(top, '.build', `dying-agent-${process.pid}.mjs`);

beforeAll(async () => {
  mkdirSync(dirname(program), { recursive: true });
  const entry = join(top, 'test/fixtures/dying-agent.ts');
  await build({
    entryPoints: [entry],
    outfile: program,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
  });
});
afterAll(() => rmSync(program, { force: true }));

it.each<TrackingName>(['subreaper', 'session'])(
  'a job goes on when its agent is killed, and the next agent learns how it ended (%s)',
  async (tracking) => {
    const root = scratchFolder();
    const home = join(root, 'job');
    const gate = join(root, 'gate');
    const script = `echo one; while [ ! -e ${gate} ]; do sleep 0.02; done; echo two; exit 11`;
    await startAndKillAgent(root, tracking, script);
    const executor = await anExecutor(root, tracking);
    const adopted = await executor.adopt(home);
    const identity = readIdentity(home);
    expect(identity && isAlive(identity.pid)).toBe(true);
    expect(await executor.processes(home)).not.toEqual([]);
    writeFileSync(gate, '');
    expect(await adopted?.ended).toMatchObject({ kind: 'exited', exitCode: 11 });
    expect(readFileSync(join(home, 'log'), 'utf8')).toBe('one\ntwo\n');
    await until('the supervisor is gone', () => identity && !isAlive(identity.pid));
  },
);

it('a job that ended while there was no agent has kept how', async () => {
  const root = scratchFolder();
  const home = join(root, 'job');
  await startAndKillAgent(root, 'session', 'sleep 0.1; exit 12');
  await until('the job has ended', () => existsSync(join(home, 'exit')));
  const executor = await anExecutor(root, 'session');
  expect(await (await executor.adopt(home))?.ended).toMatchObject({ kind: 'exited', exitCode: 12 });
});

async function startAndKillAgent(root: string, tracking: TrackingName, script: string): Promise<void> {
  onTestFinished(() => endAllOf(join(root, 'job')));
  const agent = spawn(process.execPath, [program, root, tracking, script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(agent, 'exit');
  expect(String((await once(agent.stdout, 'data'))[0])).toBe('started\n');
  agent.kill('SIGKILL');
  await ended;
}
