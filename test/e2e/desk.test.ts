import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { call } from '../../base/channel/client.ts';
import { withDesk } from '../../cli/desk-connect.ts';
import { countingLab } from '../kit/counting-lab.ts';
import { heldBy } from '../kit/held-by.ts';
import { type Lab, ownLab } from '../kit/lab.ts';
import { processesNaming } from '../kit/proc.ts';
import { capture, type User } from '../kit/processes.ts';
import { program } from '../kit/program.ts';
import { deskAccounts, itWith, plainUser } from '../kit/real-parts.ts';
import { until } from '../kit/until.ts';

/** Each way to stop jobs that a node may have, as its admin names it, and what a machine needs to have it. */
const ways = [
  { freezing: 'cgroup-v2', part: 'cgroup-v2 freezer', user: undefined },
  { freezing: 'cgroup-v1', part: 'cgroup-v1 freezer', user: undefined },
  // Who is an ordinary user, and has no other.
  { freezing: 'stop', part: 'plain user', user: plainUser() },
] as const;

for (const { freezing, part, user } of ways) {
  itWith(part)(
    `what somebody at the desk pauses stands still, daemons too, and goes on where it was (${freezing})`,
    async () => {
      const counting = await countingLab({ agent: { settings: { freezing } }, user });
      const { lab } = counting;
      expect(await counting.state()).toMatchObject({ freezing });
      expect(await lab.json('nodes')).toMatchObject({ nodes: [{ name: 'n1', freezing }] });
      const before = counting.counts();
      const paused = lab.must(await counting.desk('pause', '--for', '1h30m', '--reason', 'a talk', '--json'));
      expect(JSON.parse(paused.stdout)).toMatchObject({
        step: 'pause',
        cause: 'asked',
        reason: 'a talk',
        takesJobs: false,
      });
      await counting.standsStill();
      expect(counting.counts().every((count, at) => count >= (before[at] ?? 0))).toBe(true);
      expect(counting.pids().map(heldBy)).toEqual([freezing, freezing, freezing]);
      await until('the head says so', async () => (await lab.json('status', 't/counts')).jobs[0].state === 'paused');
      lab.must(await counting.desk('resume'));
      await counting.countsOn();
      expect(counting.pids().map(heldBy)).toEqual([undefined, undefined, undefined]);
      await counting.end();
    },
    60_000,
  );
}

itWith('plain user')(
  'an agent that cannot stop jobs in the way that its settings name does not start, and says what that needs',
  async () => {
    const lab = await ownLab({ start: false, user: plainUser() });
    const agent = lab.launchAgent('n1', { settings: { freezing: 'cgroup-v1' } });
    await agent.line(/"cgroup-v1" needs .*freezer.*"freezing: auto"/);
    expect(await agent.exited).toMatchObject({ code: 1 });
  },
);

it('a pause outlives its terminal and its agent, and ends by itself, with no head all the while', async () => {
  const counting = await countingLab();
  const { lab } = counting;
  await lab.head.end('SIGKILL');
  lab.must(await counting.desk('pause', '--for', '15s')); // in which a busy machine starts an agent
  await lab.agents.get('n1')?.end('SIGKILL');
  await counting.standsStill();
  const before = counting.counts();
  const restarted = lab.launchAgent('n1');
  await restarted.line(/not connected to/);
  const status = await counting.untilState('the pause is still there', ({ step }) => step === 'pause');
  expect(status).toMatchObject({ headConnected: false, pauses: [{ by: expect.any(String) }] });
  expect(counting.counts()).toEqual(before);
  await counting.countsOn();
  await lab.startHead();
  await counting.end();
}, 60_000);

itWith('script')(
  'whoever waits with their pause ends it with Ctrl-C or with their terminal, and not by being killed',
  async () => {
    const counting = await countingLab();
    const { lab } = counting;
    const wait = ['pause', '--wait', '--for', '1h', '--data', lab.agentFolder('n1')];

    const asked = lab.follow(...wait);
    await asked.line(/Ctrl-C/);
    await counting.standsStill();
    expect(await asked.end('SIGINT')).toMatchObject({ code: 0 });
    await counting.countsOn();

    const command = [process.execPath, program, ...wait].join(' ');
    const terminal = lab.run(['script', '--quiet', '--return', '--command', command, '/dev/null']);
    await terminal.line(/Ctrl-C/);
    await counting.standsStill();
    await terminal.end('SIGKILL'); // its window is closed
    await counting.countsOn();
    expect((await counting.state()).pauses).toEqual([]);

    // Its agent is another one by the time of Ctrl-C, and the head is away.
    await lab.head.end('SIGKILL');
    const stays = lab.follow(...wait);
    await stays.line(/Ctrl-C/);
    await lab.agents.get('n1')?.end('SIGKILL');
    await lab.launchAgent('n1').line(/not connected to/);
    await counting.untilState('the pause is still there', ({ step }) => step === 'pause');
    expect(await stays.end('SIGINT')).toMatchObject({ code: 0 });
    await counting.countsOn();

    const killed = lab.follow('pause', '--wait', '--for', '10s', '--data', lab.agentFolder('n1'));
    await killed.line(/Ctrl-C/);
    await killed.end('SIGKILL');
    await counting.standsStill();
    await counting.countsOn();
    await lab.startHead();
    await counting.end();
  },
  90_000,
);

itWith('script')(
  'whoever closes their terminal while everything is being stopped leaves no pause behind',
  async () => {
    const counting = await countingLab();
    const { lab } = counting;
    const folder = lab.agentFolder('n1');
    const agent = lab.agents.get('n1')?.pid ?? 0;
    process.kill(agent, 'SIGSTOP'); // it takes its time
    const command = [process.execPath, program, 'pause', '--wait', '--for', '1h', '--data', folder].join(' ');
    const terminal = lab.run(['script', '--quiet', '--return', '--command', command, '/dev/null']);
    await until('it was asked', () => readdirSync(join(folder, 'desk', 'proofs')).length > 0);
    await terminal.end('SIGKILL'); // its window is closed
    process.kill(agent, 'SIGCONT');
    await until(
      'the command has ended',
      () => !processesNaming(folder).some(({ command: text }) => text.includes('--wait')),
    );
    expect((await counting.state()).pauses).toEqual([]);
    await counting.countsOn();
    await counting.end();
  },
  60_000,
);

itWith('desk accounts')(
  'two people pause a machine, and it goes on when the last of their pauses has ended',
  async () => {
    const [ada, bob] = deskAccounts.members;
    const counting = await countingLab({ agent: { settings: { desk: { group: deskAccounts.group } } }, isOpen: true });
    const { lab } = counting;
    const as = (user: User, ...args: string[]) =>
      capture([process.execPath, program, ...args, '--data', lab.agentFolder('n1')], { env: lab.env, cwd: '/', user });
    lab.must(await as(ada, 'pause', '--for', '1h', '--reason', 'a talk'));
    lab.must(await as(bob, 'pause', '--for', '2h'));
    expect((await counting.state()).pauses).toMatchObject([{ by: ada.name, reason: 'a talk' }, { by: bob.name }]);
    const why = await until('the head says who', async () => {
      const said = await lab.ok('why', 't/counts/j');
      return said.includes(bob.name) && said;
    });
    expect(why).toMatch(/paused by/);
    // One ends their own, and no other.
    const resumed = lab.must(await as(bob, 'resume'));
    expect(resumed.stdout).toMatch(new RegExp(`paused by ${ada.name} until \\S.*: a talk`));
    await counting.standsStill();
    await until('the head says who is left', async () => {
      const said = await lab.ok('why', 't/counts/j');
      return said.includes(ada.name) && said.includes('a talk') && !said.includes(bob.name);
    });
    lab.must(await as(bob, 'resume'));
    await counting.standsStill();
    lab.must(await as(ada, 'resume'));
    await counting.countsOn();

    lab.must(await as(ada, 'pause'));
    lab.must(await as(bob, 'resume', '--all'));
    await counting.countsOn();
    // Nor does their session watch for nobody: it ends.
    expect(await as(deskAccounts.stranger, 'desk', 'helper')).toMatchObject({ code: 4 });
    const stranger = await as(deskAccounts.stranger, 'pause');
    expect(stranger).toMatchObject({
      code: 4,
      stderr: expect.stringContaining(`not in the group "${deskAccounts.group}"`),
    });
    await counting.end();
  },
  90_000,
);

for (const { freezing, part } of ways.filter(({ user }) => user === undefined)) {
  itWith(part)(
    `time for which a job was stopped does not count against its limit, and is told (${freezing})`,
    async () => {
      const lab = await ownLab({ agents: { n1: { cpus: 1, settings: { freezing } } } });
      const started = lab.path('started');
      await lab.ok('submit', batch(lab, 'limited', `touch ${started}; sleep 2; echo fine`, { timeLimit: '4s' }));
      await until('it runs', () => existsSync(started));
      lab.must(await lab.labrun('pause', '--for', '6s', '--data', lab.agentFolder('n1')));
      await lab.ok('wait', 't/limited');
      expect(await lab.ok('logs', 't/limited/j')).toBe('fine\n');
    },
    60_000,
  );
}

for (const { freezing, part } of ways.filter(({ user }) => user === undefined)) {
  itWith(part)(
    `a paused job can be cancelled and its node drained, and the next waits for the end of both (${freezing})`,
    async () => {
      const counting = await countingLab({ agent: { settings: { freezing } } });
      const { lab } = counting;
      lab.must(await counting.desk('pause'));
      await lab.ok('drain', 'n1', '--reason', 'a new disk');
      await lab.ok('cancel', 't/counts');
      await lab.labrun('wait', 't/counts');
      expect((await lab.json('status', 't/counts')).jobs).toMatchObject([{ state: 'cancelled' }]);
      await lab.ok('submit', batch(lab, 'next', 'echo fine'));
      const [one, other] = await overTime(async () => (await lab.json('status', 't/next')).jobs[0].state);
      expect([one, other]).toEqual(['queued', 'queued']);
      lab.must(await counting.desk('resume'));
      await until('the drain alone is in its way', async () => {
        const why = await lab.ok('why', 't/next/j');
        return why.includes('a new disk') && !why.includes('pause');
      });
      await lab.ok('undrain', 'n1');
      await lab.ok('wait', 't/next');
    },
    60_000,
  );
}

for (const who of ['whoever runs the tests', 'an ordinary user'] as const) {
  itWith('plain user')(
    `a thousand processes of ${who} are stopped in a moment`,
    async () => {
      const lab = await ownLab({
        agents: { n1: { cpus: 1 } },
        user: who === 'an ordinary user' ? plainUser() : undefined,
      });
      const [counts, started] = [lab.path('counts'), lab.path('started')];
      const many = `for i in $(seq 998); do sleep 600 & done; touch ${started}; while :; do echo x >>${counts}; sleep 0.02; done`;
      await lab.ok('submit', batch(lab, 'many', many));
      await until('they run', () => existsSync(counts) && existsSync(started), 60_000);
      await withDesk({ data: lab.agentFolder('n1') }, async ({ client, prove }) => {
        const beganMs = performance.now();
        await call(client, client.pause, { reason: '', until: '' }, { metadata: prove(), deadlineMs: 60_000 });
        // The limits, 100 ms by a control group and 300 ms by signals, are the bench's: this machine does other things, too.
        expect(performance.now() - beganMs).toBeLessThan(5_000);
        const [before, after] = await overTime(() => statSync(counts).size);
        expect(after).toBe(before);
      });
      await lab.ok('cancel', 't/many');
      await lab.labrun('wait', 't/many');
    },
    90_000,
  );
}

/** What it is now, and what it is when it would have been another for long. */
async function overTime<Value>(read: () => Value | Promise<Value>): Promise<[Value, Value]> {
  const before = await read();
  await new Promise((resolve) => setTimeout(resolve, 500));
  return [before, await read()];
}

function batch(lab: Lab, name: string, run: string, more: Record<string, unknown> = {}): string {
  return lab.jobFile(name, { name, namespace: 't', jobs: [{ name: 'j', needs: { cpus: 1 }, run, ...more }] });
}
