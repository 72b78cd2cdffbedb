import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { aShell, askForShell } from '../kit/a-shell.ts';
import { inTmux, type TmuxWindow } from '../kit/a-tmux.ts';
import { type Lab, ownLab } from '../kit/lab.ts';
import { processesNaming } from '../kit/proc.ts';
import { program } from '../kit/program.ts';
import { itWith } from '../kit/real-parts.ts';
import { until } from '../kit/until.ts';

// The whole way, as somebody at a terminal has it: CLI, head, agent, shell. Where one of the parts is missing, there is
// no such terminal.
const itInTerminal = itWith('tmux', 'vi', 'node-pty');

/** Counts until it is told to end, and tells of a Ctrl-C that was meant for somebody else. */
const counting = `
trap 'echo interrupted >>log-of-signals' INT HUP
i=0; while [ ! -e end ]; do i=$((i+1)); echo $i >count.new; mv count.new count; sleep 0.05; done
cp count $LABRUN_ARCHIVE/count; [ ! -e log-of-signals ]`;

itInTerminal(
  'gives a terminal in the place of a job: an editor works, the window may change, Ctrl-C is for the shell alone',
  async () => {
    const { lab, work } = await countingLab();
    const window = await aShell(lab, 't/count');
    await window.line('echo $LABRUN_JOB in $PWD on $TERM; stty size');
    await window.shows(new RegExp(`^j in ${work} on `, 'm'));
    await window.shows(/^30 100$/m);
    await window.resize({ columns: 91, rows: 22 });
    // The program that runs is told, and asks.
    await until('the shell has the new size', async () => {
      await window.line('clear; stty size');
      return (await window.shows(/^\d+ \d+$/m)).includes('22 91');
    });
    await window.line('vi notes.txt; echo "vi ended with $?"');
    await window.shows(/notes\.txt/);
    await window.type('i', 'written from afar', 'Escape', ':wq', 'Enter');
    await window.shows(/^vi ended with 0$/m); // it drops what is typed until then
    expect(readFileSync(join(work, 'notes.txt'), 'utf8')).toBe('written from afar\n');
    await window.line('clear; sleep 1000');
    await until('it sleeps', () => processesIn(lab).some(({ command }) => command === 'sleep 1000'));
    await window.type('C-c');
    await window.line('echo "then $?"');
    await window.shows(/^then 130$/m);
    await window.line('exit 7');
    await window.shows(/\[ended with 7\]/);
    const before = countIn(work);
    await until('the job counts on', () => countIn(work) > before);
    await endJob(lab, work);
    const events = (await lab.ok('events', 't/count')).split('\n');
    expect(events.some((line) => line.includes('shell-opened'))).toBe(true);
    expect(events.some((line) => /shell-closed .* ended with 7/.test(line))).toBe(true);
  },
  60_000,
);

itInTerminal(
  'ends with its connection, whatever hides from it, and leaves other terminals and the job alone',
  async () => {
    const { lab, work } = await countingLab();
    const [one, two, three] = await Promise.all([
      aShell(lab, 't/count'),
      aShell(lab, 't/count'),
      aShell(lab, 't/count'),
    ]);
    for (const [at, window] of [one, two, three].entries())
      await window.line(`env -i setsid sleep 10${at} & setsid sleep 20${at} & sleep 30${at}`);
    const sleepers = (at: number) =>
      processesIn(lab).filter(({ command }) => new RegExp(`^sleep [123]0${at}$`).test(command)).length;
    await until('all of them sleep', () => [0, 1, 2].every((at) => sleepers(at) === 3));
    process.kill(cliOf(one), 'SIGKILL');
    await until('the first has ended', () => sleepers(0) === 0);
    await two.type('C-c');
    await two.line('echo "still $((6 * 7))"');
    await two.shows(/^still 42$/m);
    await two.type('Enter', '~', '.');
    await two.shows(/\[ended with 0\]/);
    await until('the second has ended', () => sleepers(1) === 0);
    expect(sleepers(2)).toBe(3);
    await lab.head.end('SIGKILL');
    await three.shows(/\[ended with 4\]/);
    await until('the third has ended', () => sleepers(2) === 0);
    await lab.startHead();
    await lab.untilStatus('t/count', 'it runs', ({ counts }) => counts.running === 1);
    await endJob(lab, work);
    expect(readdirSync(join(lab.agentFolder('n1'), 'shells'))).toEqual([]);
  },
  60_000,
);

itInTerminal(
  'is stopped with its job for the person at the machine, says so, goes on with it, and ends with it',
  async () => {
    const { lab, work } = await countingLab();
    const window = await aShell(lab, 't/count');
    const desk = (...args: string[]) => lab.ok(...args, '--data', lab.agentFolder('n1'));
    await window.line('i=0; while [ ! -e enough ]; do i=$((i+1)); echo $i >typed.new; mv typed.new typed; done');
    const typed = () => Number(readFileSync(join(work, 'typed'), 'utf8'));
    await until('the loop in the terminal counts', () => existsSync(join(work, 'typed')));
    await desk('pause', '--for', '1m');
    const before = [countIn(work), typed()];
    await window.shows(/^\[labrun: stopped with its job for the person at the machine/m);
    // Of a job that is paused, too; nothing in it moves before the pause is over.
    const later = await askForShell(lab, 't/count');
    await later.shows(/^\[labrun: stopped with its job/m);
    expect([countIn(work), typed()]).toEqual(before);
    await desk('resume');
    await window.shows(/^\[labrun: goes on\]/m);
    await until('both count on', () => countIn(work) > (before[0] ?? 0) && typed() > (before[1] ?? 0));
    await later.line('touch enough; echo "awake $((6 * 7))"');
    await later.shows(/^awake 42$/m);
    await window.line('setsid sleep 999 &');
    await until('it sleeps', () => processesIn(lab).some(({ command }) => command === 'sleep 999'));
    await desk('pause', '--for', '1m');
    await lab.ok('cancel', 't/count');
    await window.shows(/The shell has ended: the job has ended[\s\S]*\[ended with 1\]/);
    await later.shows(/\[ended with 1\]/);
    await until('nothing of it is left', () => processesIn(lab).length === 0);
  },
  60_000,
);

itWith('node-pty')(
  'runs a command in place of a shell, in a script, too, and ends as it does',
  async () => {
    const { lab, work } = await countingLab();
    const run = (...argv: string[]) => lab.labrun('shell', 't/count', '--', ...argv);
    const said = 'echo "$LABRUN_JOB in $PWD, $1"; echo wrong >&2; stty size; exit 7';
    const ran = await run('sh', '-c', said, 'sh', 'a  b');
    expect(ran).toEqual({ ...ran, code: 7, stdout: `j in ${work}, a  b\r\nwrong\r\n24 80\r\n`, stderr: '' });
    expect(await run('true')).toMatchObject({ code: 0, stdout: '' });
    expect(await run('no-such-program')).toMatchObject({ code: 127 });
    expect((await lab.labrun('shell', '--node', 'n1', '--', 'ls', '-A')).stdout).toBe('');
    expect(await run('seq', '100000')).toMatchObject({ stdout: expect.stringMatching(/\n99999\r\n100000\r\n$/) });
    await endJob(lab, work);
  },
  60_000,
);

itInTerminal(
  'is seen by the person at the desk, and forbidden by the admin of the node, who ends those that are open, too',
  async () => {
    const { lab, work } = await countingLab();
    const desk = ['--data', lab.agentFolder('n1')];
    const shells = async () => (await lab.json('desk', 'status', ...desk)).shells;
    expect(await shells()).toEqual([]);
    const live = await inTmux([process.execPath, program, 'desk', ...desk], { env: lab.env, cwd: lab.folder });
    await live.shows(/q quit/);
    const window = await aShell(lab, 't/count');
    await live.shows(/^shell of \S+ in t\/count\/j, opened \S+ ago *$/m);
    const node = await aShell(lab, '--node', 'n1');
    const user = userInfo().username;
    expect(await shells()).toMatchObject([
      { user, job: { namespace: 't', batch: 'count', index: 0, attempt: 1 }, since: expect.any(String) },
      { user, job: null },
    ]);
    expect(await lab.ok('desk', 'status', ...desk)).toMatch(/^shell of \S+ on this machine, opened \S+ ago$/m);
    await node.line('exit');
    await until('that it has ended is seen', async () => (await shells()).length === 1);

    writeFileSync(lab.path('agent-n1.yaml'), JSON.stringify({ cpus: 2, shell: false }));
    await window.shows(/The shell has ended: its admin forbids terminals \(shell: false in agent\.yaml\)/);
    await until('nobody has one', async () => (await shells()).length === 0);
    const asked = await lab.labrun('shell', 't/count', '--', 'true');
    expect(asked).toMatchObject({ code: 4, stdout: '' });
    expect(asked.stderr).toContain('Cannot open a terminal on "n1": its admin forbids terminals');
    await live.type('q');
    await endJob(lab, work);
  },
  60_000,
);

itInTerminal(
  'opens on a node, too, in a folder that goes with it; and says why where it cannot',
  async () => {
    const { lab, work } = await countingLab();
    const window = await aShell(lab, '--node', 'n1');
    await window.line('echo "at $PWD"; touch here');
    await window.shows(/^at .*\/shells\/\w{26}\/home$/m);
    await window.line('exit');
    await window.shows(/\[ended with 0\]/);
    await endJob(lab, work);
    await (await askForShell(lab, 't/count')).shows(/it is succeeded, and there is a place to be only while it runs/);
    await (await askForShell(lab, '--node', 'n9')).shows(/Cannot open a terminal on node "n9": there is none/);
    expect((await lab.labrun('shell', 't/count')).stderr).toContain('must be a terminal');
    expect((await lab.labrun('shell')).code).toBe(2);
  },
  60_000,
);

/** A lab with one job that counts in its folder. */
async function countingLab(): Promise<{ lab: Lab; work: string }> {
  const lab = await ownLab();
  const jobs = [{ name: 'j', needs: { cpus: 1 }, run: counting }];
  await lab.ok('submit', lab.jobFile('count', { name: 'count', namespace: 't', jobs }));
  const attempts = join(lab.agentFolder('n1'), 'attempts');
  const work = await until('the job counts', () => {
    const found = readdirSync(attempts).map((name) => join(attempts, name, 'work'));
    return found.find((folder) => existsSync(join(folder, 'count')));
  });
  await lab.untilStatus('t/count', 'it runs', ({ counts }) => counts.running === 1);
  return { lab, work };
}

/** Of everything in terminals. */
function processesIn(lab: Lab) {
  return processesNaming(lab.folder).filter(({ command }) => /^sleep \d{3,4}$|\/bin\/bash$/.test(command));
}

/** The program in a window is what the shell there has started. */
function cliOf({ pid }: TmuxWindow): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());
}

function countIn(work: string): number {
  return Number(readFileSync(join(work, 'count'), 'utf8'));
}

async function endJob(lab: Lab, work: string): Promise<void> {
  writeFileSync(join(work, 'end'), '');
  await lab.untilStatus('t/count', 'it has succeeded', ({ counts }) => counts.succeeded === 1);
}
