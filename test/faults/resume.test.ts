import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { delay, systemClock } from '../../base/clock.ts';
import { type HostLab, hostLab, sharedNetwork } from '../kit/host-lab.ts';
import { itWith } from '../kit/real-parts.ts';
import { until } from '../kit/until.ts';

/** `npm run faults` is long; `npm test` has a short form of the same. */
const isLong = process.env['LABRUN_FAULTS'] === 'long';
/** How large what travels is, in MiB; docs/promises.md says what 1024 took. */
const sizeMiB = Number(process.env['LABRUN_RESUME_MIB'] ?? (isLong ? 1024 : 32));
const sizeBytes = sizeMiB * 2 ** 20;
/** The line's speed, in bytes a second; the short form leaves room for a busy machine. */
const bytesPerS = sizeMiB >= 1024 ? 20_000_000 : 8_000_000;
/** What may travel in all, whatever happens on the way, as a share of the content. */
const shareMax = 1.05;
/** What may have arrived each time and not been written yet, and is lost with the connection or the process, in bytes. */
const unwrittenBytes = 2 ** 20;
/** How long a cable is pulled, in milliseconds. */
const pulledMs = 700;
const timeoutMs = 150_000 + (sizeBytes / bytesPerS) * 6_000;

const network = sharedNetwork('n1');

/** Pulls the cable for a moment, and breaks every connection that was on it. */
async function cut(host: string): Promise<void> {
  network().cut(host);
  network().reset(host);
  await delay(systemClock, pulledMs);
  network().heal(host);
  network().slow(host, bytesPerS);
}

/** A lab whose slow host is this one. */
async function labWithSlow(host: string): Promise<HostLab> {
  network().slow(host, bytesPerS);
  return await hostLab(network(), { agents: { n1: {} } });
}

/** Does one thing after each quarter that has passed a host, then waits for the end; no more than `shareMax` may pass. */
async function travels(
  host: string,
  way: 'sentBytes' | 'receivedBytes',
  incidents: readonly (() => Promise<void>)[],
  end: () => Promise<unknown>,
): Promise<void> {
  const before = network().passed(host)[way];
  const passed = () => network().passed(host)[way] - before;
  for (const [at, incident] of incidents.entries()) {
    await until(`quarter ${at + 1} has travelled`, () => passed() > (sizeBytes / 4) * (at + 1), timeoutMs);
    await incident();
  }
  await end();
  const share = passed() / sizeBytes;
  if (isLong || process.env['LABRUN_RESUME_MIB'])
    process.stdout.write(`${sizeMiB} MiB: ${share.toFixed(4)} of it ${way}\n`);
  expect(passed()).toBeGreaterThan(sizeBytes);
  expect(passed()).toBeLessThan(sizeBytes * shareMax + incidents.length * unwrittenBytes);
}

function sha256(path: string): string {
  return execFileSync('sha256sum', [path], { encoding: 'utf8' }).slice(0, 64);
}

/** Begins a job that writes that much, and has its archive on the way. */
async function bigJob(lab: HostLab): Promise<void> {
  const run = `echo 42 > $LABRUN_ARCHIVE/small; head -c ${sizeBytes} /dev/urandom > $LABRUN_ARCHIVE/big; sha256sum $LABRUN_ARCHIVE/big > ${lab.path('hash')}`;
  await lab.ok('submit', lab.jobFile('big', { name: 'big', namespace: 't', jobs: [{ name: 'j', run }] }));
}

async function expectKept(lab: HostLab): Promise<void> {
  await lab.ok('wait', 't/big');
  expect(await lab.json('status', 't/big')).toMatchObject({ jobs: [{ state: 'succeeded', attempt: 1 }] });
  expect(sha256(join(lab.archive, 't/big/j/big'))).toBe(readFileSync(lab.path('hash'), 'utf8').slice(0, 64));
}

/** A file that no line makes shorter. */
function bigFile(lab: HostLab): string {
  execFileSync('sh', ['-c', `mkdir -p in && head -c ${sizeBytes} /dev/urandom > in/big`], { cwd: lab.folder });
  return lab.path('in', 'big');
}

async function restartHead(lab: HostLab): Promise<void> {
  await lab.head.end('SIGKILL');
  await lab.startHead();
}

itWith('netns')(
  'sends an archive once, though its line is cut three times',
  async () => {
    const lab = await labWithSlow('n1');
    await bigJob(lab);
    const again = () => cut('n1');
    await travels('n1', 'sentBytes', [again, again, again], () => expectKept(lab));
  },
  timeoutMs,
);

itWith('netns')(
  'sends an archive once, though the head, the agent and the head again are killed on the way',
  async () => {
    const lab = await labWithSlow('n1');
    await bigJob(lab);
    const restartAgent = async () => {
      await lab.agents.get('n1')?.end('SIGKILL');
      lab.launchAgent('n1');
    };
    const head = () => restartHead(lab);
    await travels('n1', 'sentBytes', [head, restartAgent, head], () => expectKept(lab));
  },
  timeoutMs,
);

itWith('netns')(
  'uploads an input once, though the line is cut, the head is killed, and the command is killed and given again',
  async () => {
    const lab = await labWithSlow('laptop');
    await lab.login('ada');
    const input = bigFile(lab);
    const job = { name: 'j', files: ['big'], run: 'sha256sum big > $LABRUN_ARCHIVE/hash' };
    const file = lab.jobFile('in', { name: 'in', jobs: [job] });
    let command = lab.startAtLaptop('submit', file);
    const giveAgain = async () => {
      await command.end('SIGKILL');
      command = lab.startAtLaptop('submit', file);
    };
    await travels('laptop', 'sentBytes', [() => cut('laptop'), () => restartHead(lab), giveAgain], async () => {
      expect((await command.exited).code, command.lines.join('\n')).toBe(0);
    });
    await lab.ok('wait', 'ada/in');
    expect(readFileSync(join(lab.archive, 'ada/in/j/hash'), 'utf8').slice(0, 64)).toBe(sha256(input));
  },
  timeoutMs,
);

itWith('netns')(
  'pulls a file once, though the line is cut, the head is killed, and the command is killed and given again',
  async () => {
    const lab = await hostLab(network(), { agents: { n1: {} } });
    await lab.login('ada');
    await bigJob(lab);
    await expectKept(lab);
    await lab.ok('namespace', 'share', 't', 'ada');
    network().slow('laptop', bytesPerS);
    const pull = ['pull', 't/big', '--to', lab.path('pulled')];
    let command = lab.startAtLaptop(...pull);
    const giveAgain = async () => {
      await command.end('SIGKILL');
      command = lab.startAtLaptop(...pull);
    };
    await travels('laptop', 'receivedBytes', [() => cut('laptop'), () => restartHead(lab), giveAgain], async () => {
      expect((await command.exited).code, command.lines.join('\n')).toBe(0);
    });
    expect(sha256(lab.path('pulled/big/j/big'))).toBe(readFileSync(lab.path('hash'), 'utf8').slice(0, 64));
    // What is left of an earlier pull may be of something else by now.
    rmSync(lab.path('pulled/big/j/small'));
    writeFileSync(lab.path('pulled/big/j/small.labrun-part'), '4');
    expect((await lab.atLaptop(...pull)).stderr).not.toContain('changed');
    rmSync(lab.path('pulled/big/j/small'));
    writeFileSync(lab.path('pulled/big/j/small.labrun-part'), '9');
    const again = await lab.atLaptop(...pull);
    expect(again.code, again.stderr).toBe(0);
    expect(again.stderr).toContain(
      'small" has changed since a part of it was pulled: it is fetched from the beginning',
    );
    expect(readFileSync(lab.path('pulled/big/j/small'), 'utf8')).toBe('42\n');
  },
  timeoutMs,
);
