import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { version } from '../../base/version.ts';
import { type Lab, ownLab } from '../kit/lab.ts';
import { isAlive } from '../kit/proc.ts';
import type { Running } from '../kit/processes.ts';
import { program, repository } from '../kit/program.ts';
import { until } from '../kit/until.ts';

const nextVersion = '99.0.0';

it('goes on with its jobs when an agent is exchanged for one of the next version', async () => {
  const lab = await ownLab({ agents: {} });
  const installed = lab.path('installed');
  install(installed, version);
  const agent = await startAgent(lab, installed);
  const waits = (name: string) => ({
    ...{ name, needs: { cpus: 1 } },
    run: `echo $$ >> ${lab.path(`${name}.pid`)}; echo begun; until [ -e ${lab.path(`${name}.go`)} ]; do sleep 0.05; done
      echo $LABRUN_ATTEMPT > $LABRUN_ARCHIVE/attempt; echo ended`,
  });
  const jobs = [waits('goes-on'), waits('ends-meanwhile')];
  await lab.ok('submit', lab.jobFile('upgrade', { name: 'upgrade', namespace: 't', jobs }));
  const [goesOn = 0, ends = 0] = await until('both run', () => {
    const pids = jobs.map(({ name }) => pidIn(lab.path(`${name}.pid`)));
    return pids.every((pid) => pid > 0) && pids;
  });

  // As a package manager does it: the files first, then the service.
  renameSync(installed, lab.path('removed'));
  install(installed, nextVersion);
  expect((await agent.stop()).code).toBe(0);
  writeFileSync(lab.path('ends-meanwhile.go'), '');
  await until('a job ends while there is no agent', () => !isAlive(ends));
  await startAgent(lab, installed);
  expect((await lab.json('nodes')).nodes).toMatchObject([{ name: 'n1', version: nextVersion }]);
  await lab.untilStatus('t/upgrade', 'its result is there', ({ counts }) => counts.succeeded === 1);
  expect(isAlive(goesOn)).toBe(true);
  writeFileSync(lab.path('goes-on.go'), '');
  await lab.ok('wait', 't/upgrade');
  for (const { name } of jobs) {
    expect(readFileSync(join(lab.archive, 't/upgrade', name, 'attempt'), 'utf8')).toBe('1\n');
    expect(await lab.ok('logs', `t/upgrade/${name}`)).toBe('begun\nended\n');
  }
  // The supervisors of the old agent leave with their last job, and take nothing of the new one's with them.
  const supervisors = () => readdirSync(join(lab.agentFolder('n1'), 'supervisors')).length;
  await until('only a supervisor of the new agent is left', () => supervisors() === 1);
}, 60_000);

/** A labrun as it is installed, of this version or one that only says so. */
function install(folder: string, as: string): void {
  mkdirSync(folder);
  cpSync(dirname(program), join(folder, 'dist'), { recursive: true });
  symlinkSync(join(repository, 'node_modules'), join(folder, 'node_modules'));
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
  let changed = as === version;
  for (const name of readdirSync(join(folder, 'dist')).filter((file) => file.endsWith('.js'))) {
    const path = join(folder, 'dist', name);
    const text = readFileSync(path, 'utf8');
    const other = text.replace(`version = "${version}"`, `version = "${as}"`);
    changed ||= other !== text;
    writeFileSync(path, other);
  }
  if (!changed) throw new Error('The bundle does not name its version as it did');
}

async function startAgent(lab: Lab, installed: string): Promise<Running> {
  const options = ['--data', lab.agentFolder('n1'), '--head', lab.address, '--name', 'n1', '--dedicated'];
  writeFileSync(lab.path('agent.yaml'), JSON.stringify({ cpus: 2 }));
  const argv = [join(installed, 'dist/labrun.js'), 'agent', 'start', ...options, '--config', lab.path('agent.yaml')];
  const agent = lab.run([process.execPath, ...argv]);
  await agent.line(/: connected to/);
  return agent;
}

function pidIn(path: string): number {
  return existsSync(path) ? Number(readFileSync(path, 'utf8')) : 0;
}
