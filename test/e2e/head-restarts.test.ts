import { readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ownLab, sharedLab } from '../kit/lab.ts';
import { until } from '../kit/until.ts';

const lab = sharedLab();

/** Resolves when the process has opened a connection beside its standard output and error. */
async function connected(pid: number): Promise<void> {
  const sockets = () => {
    const folder = `/proc/${pid}/fd`;
    return readdirSync(folder).filter((name) => readlinkSync(`${folder}/${name}`).startsWith('socket:'));
  };
  await until('it has connected', () => sockets().length > 2);
}

it.each(['SIGTERM', 'SIGKILL'] as const)(
  'who waits for jobs, or follows a log or the events, goes on with the head that comes after %s',
  async (signal) => {
    const [name, go] = [signal.toLowerCase(), lab().path(`go-${signal}`)];
    const run = `echo first; while [ ! -e ${go} ]; do sleep 0.05; done; echo last; [ $LABRUN_ATTEMPT -gt 1 ]`;
    const jobs = [{ name: 'j', needs: { cpus: 1 }, run, retries: 1 }];
    await lab().ok('submit', lab().jobFile(name, { name, namespace: 't', jobs }));
    const all = lab().follow('wait', `t/${name}`);
    const one = lab().follow('wait', `t/${name}/j`);
    await Promise.all([connected(all.pid), connected(one.pid)]);
    const log = lab().follow('logs', `t/${name}/j`, '-f');
    const events = lab().follow('events', '-f', '--json');
    await log.line(/^first$/);
    await events.line(/"job-started"/);
    await lab().head.end(signal);
    await lab().startHead();
    await log.line(/trying again/);
    // The first attempt fails, the second does not: what is followed goes on into that one.
    writeFileSync(go, '');
    await events.line(/"batch-ended"/);
    const codes = await Promise.all([all, one, log].map(async ({ exited }) => (await exited).code));
    expect(codes, [all, one, log].flatMap(({ lines }) => lines).join('\n')).toEqual([0, 0, 0]);
    const said = log.lines.filter((line) => !line.startsWith('The connection'));
    expect(said).toEqual(['first', 'last', 'first', 'last']);
    const seqs = events.lines.filter((line) => line.startsWith('{')).map((line) => Number(JSON.parse(line).seq));
    expect(seqs).toEqual(seqs.map((_, at) => (seqs[0] ?? 0) + at));
    await events.stop();
  },
  60_000,
);

it('a service goes on when nobody reads what it says, also when its head comes back', async () => {
  const lab = await ownLab();
  const agent = lab.agents.get('n1');
  agent?.closeOutput();
  await lab.head.end('SIGKILL');
  await lab.startHead();
  const isBack = async () => (await lab.json('nodes')).nodes[0].state === 'connected';
  await until('the agent is back', isBack);
  expect(agent?.ended).toBe(false);
}, 60_000);
