import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { delay, systemClock } from '../../base/clock.ts';
import { fakeClock } from '../kit/fake-time.ts';
import { type Lab, ownLab } from '../kit/lab.ts';
import type { Running } from '../kit/processes.ts';
import { program } from '../kit/program.ts';
import { itWith } from '../kit/real-parts.ts';
import { until } from '../kit/until.ts';

/** `npm run faults` is long; `npm test` has a short form of the same. */
const isLong = process.env['LABRUN_FAULTS'] === 'long';
const jobs = isLong ? 120 : 24;
const jumpS = 7_200;

itWith('faketime')(
  `runs ${jobs} jobs as if nothing were, while the clocks of head and agent jump by two hours, back and forth`,
  async () => {
    const lab = await ownLab({ start: false });
    const clocks = { head: fakeClock(lab.path('head.clock')), agent: fakeClock(lab.path('agent.clock')) };
    let head = await startHead(lab, clocks.head.env);
    let agent = await startAgent(lab, clocks.agent.env);
    const file = lab.jobFile('jumps', {
      ...{ name: 'jumps', namespace: 't' },
      jobs: [
        {
          ...{ name: 'j', needs: { cpus: 1 }, timeLimit: '1h' },
          matrix: { i: Array.from({ length: jobs }, (_, at) => String(at)) },
          run: `sleep 0.$(( 5 + {{i}} % 5 )); echo done > $LABRUN_ARCHIVE/done`,
        },
      ],
    });
    await lab.ok('submit', file);
    for (const offsetS of [jumpS, -jumpS, 0, -jumpS, jumpS]) {
      for (const clock of [clocks.head, clocks.agent]) {
        clock.jump(offsetS);
        // Each state of the two clocks lasts for some heartbeats and ends of jobs.
        await delay(systemClock, 700);
      }
    }
    // Started again with the clock two hours before their last word, and with jobs that run: these keep their time limit.
    clocks.agent.jump(-jumpS);
    await agent.end('SIGKILL');
    clocks.agent.jump(jumpS);
    agent = await startAgent(lab, clocks.agent.env);
    clocks.head.jump(-jumpS);
    await head.end('SIGKILL');
    head = await startHead(lab, clocks.head.env);
    await lab.ok('wait', 't/jumps');

    const status = await lab.json('status', 't/jumps');
    expect(status.counts).toMatchObject({ succeeded: jobs, failed: 0, cancelled: 0 });
    for (const { name, attempt, startedAt, finishedAt } of status.jobs) {
      expect(attempt, name).toBe(1);
      const tookMs = Date.parse(finishedAt) - Date.parse(startedAt);
      expect(tookMs >= 0 && tookMs < 60_000, `${name} ran from ${startedAt} to ${finishedAt}`).toBe(true);
      expect(readFileSync(join(lab.archive, 't/jumps', name, 'done'), 'utf8')).toBe('done\n');
    }
    const events = (await lab.ok('events', '--json'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const times = events.map(({ at }) => Date.parse(at));
    expect(times).toEqual([...times].sort((a, b) => a - b));
    const kinds = events.map(({ kind }) => kind);
    expect(kinds.filter((kind) => ['job-lapsed', 'job-lost', 'job-readopted'].includes(kind))).toEqual([]);
    // Its one connection before each of the two starts, and those after them: no clock has cut it.
    expect(kinds.filter((kind) => kind === 'node-connected')).toHaveLength(3);
  },
  120_000,
);

itWith('faketime')(
  'says which clock is wrong when a certificate is not valid yet, and goes on by itself when the clock is right',
  async () => {
    const lab = await ownLab({ start: false });
    const clocks = { head: fakeClock(lab.path('head.clock')), agent: fakeClock(lab.path('agent.clock')) };
    const head = await startHead(lab, clocks.head.env, '127.0.0.1:0');
    const address = /listening on (127\.0\.0\.1:\d+)/.exec(await head.line(/listening on/))?.[1] ?? '';
    const secret = await lab.ok('token', 'create', '--node', '--data', lab.path('head'));
    const data = ['--data', lab.agentFolder('n1')];
    await lab.ok('agent', 'join', address, '--token', secret.trim(), '--name', 'n1', ...data);
    const start = () => {
      const { LABRUN_HEAD: _, ...env } = lab.env;
      return lab.run([process.execPath, program, 'agent', 'start', ...data, '--dedicated'], {
        ...env,
        ...clocks.agent.env,
      });
    };

    clocks.agent.jump(-jumpS);
    let agent = start();
    await agent.line(/head's certificate is not valid yet by this machine's clock; compare both machines' clocks/);
    clocks.agent.jump(0);
    await agent.line(/: connected to/);

    // The same with the wrong clock on the other side. A connection that stands is left alone.
    clocks.head.jump(-jumpS);
    await agent.end('SIGTERM');
    agent = start();
    await agent.line(/your certificate is not valid yet by the head's clock; compare both machines' clocks/);
    clocks.head.jump(0);
    await agent.line(/: connected to/);

    // Two hours ahead is no trouble for certificates of three months.
    clocks.agent.jump(jumpS);
    await agent.end('SIGTERM');
    agent = start();
    await agent.line(/: connected to/);
    await until('the node is back', async () => {
      const { nodes } = JSON.parse(await lab.ok('nodes', '--json', '--head', `unix:${lab.path('head/head.sock')}`));
      return nodes.length === 1 && nodes[0].state === 'connected';
    });
  },
  120_000,
);

async function startHead(lab: Lab, clock: Readonly<Record<string, string>>, grpc = lab.address): Promise<Running> {
  const data = ['--data', lab.path('head')];
  if (!existsSync(lab.path('head', 'head.yaml'))) await lab.ok('head', 'init', ...data);
  const head = lab.run([process.execPath, program, 'head', 'start', ...data, '--grpc', grpc], { ...lab.env, ...clock });
  await head.line(/listening on/);
  return head;
}

async function startAgent(lab: Lab, clock: Readonly<Record<string, string>>): Promise<Running> {
  const options = ['--data', lab.agentFolder('n1'), '--head', lab.address, '--name', 'n1', '--dedicated'];
  const agent = lab.run([process.execPath, program, 'agent', 'start', ...options], { ...lab.env, ...clock });
  await agent.line(/: connected to/);
  return agent;
}
