import { join } from 'node:path';
import { build } from 'esbuild';
import { expect } from 'vitest';
import type { SignalReading } from '../../node-agent/presence/signal.ts';
import type { PresenceVerdict } from '../../node-agent/presence/watch.ts';
import { repository } from '../kit/program.ts';
import { itWith } from '../kit/real-parts.ts';
import { SystemdMachine } from '../kit/systemd-machine.ts';
import { until } from '../kit/until.ts';

type Line = Omit<PresenceVerdict, 'signals'> & {
  readonly nowMs: number;
  readonly wallMs: number;
  readonly readings: Readonly<Record<string, SignalReading>>;
};

/** Away for so long is away, for this test. */
const awayAfterMs = 10_000;

itWith('systemd')(
  'an agent of its own account sees a person log in on a terminal, type, watch a film and go, as `w` and logind do',
  async () => {
    const machine = await SystemdMachine.boot();
    await machine.ok(['useradd', '--create-home', '--shell', '/bin/bash', 'kim']);
    await machine.ok(['useradd', '--system', 'agent']);
    await machine.ok(['sh', '-c', 'cat > /tmp/presence.mjs; mkfifo /tmp/keys'], { input: await bundled() });
    const agent = machine.start(['runuser', '-u', 'agent', '--', 'node', '/tmp/presence.mjs', String(awayAfterMs)]);
    const verdict = () => JSON.parse(agent.lines.findLast((line) => line.startsWith('{"present"')) ?? '{}') as Line; // it prints nothing else
    const seen = (what: string, test: (line: Line) => boolean, timeoutMs = 15_000) =>
      until(
        () => `${what}:\n${agent.lines.slice(-10).join('\n')}`,
        () => test(verdict()) && verdict(),
        timeoutMs,
      );

    const before = await seen('nobody is there', ({ present }) => present === false);
    expect(before.readings['logind']).toMatchObject({ kind: 'absent', why: 'no sessions of people' });
    expect(before.readings['inhibitors']).toMatchObject({ kind: 'absent' });

    // A real login: PAM, a session of logind's, a terminal with a shell; the keys come through the FIFO.
    machine.start(['sh', '-c', 'exec 3<>/tmp/keys; exec script -qfc "login -f kim" /dev/null <&3']);
    const type = (keys: string) => machine.ok(['sh', '-c', `echo '${keys}' > /tmp/keys`]);
    await seen('kim has logged in', ({ present }) => present);
    const [, id = '', tty = ''] = await until('logind knows the session', async () => {
      const sessions = await machine.ok(['loginctl', 'list-sessions', '--no-legend']);
      return /^\s*(\S+)\s+\d+\s+kim\s.*?(pts\/\d+)/m.exec(sessions) ?? undefined;
    });
    await seen('logind tells of it', ({ readings }) => readings[`logind session ${id}`] !== undefined);
    expect(verdict().readings[`logind session ${id}`]).toMatchObject({ detail: `kim logged in on ${tty}` });
    expect(verdict()).toMatchObject({ present: true });

    const away = await seen('kim is away', ({ present }) => !present, awayAfterMs + 25_000);
    const beganMs = away.nowMs;
    await type('date');
    // The kernel moves a terminal's time on in steps of 8 s, and it is looked at every 5 s.
    const back = await seen('kim is back', ({ present }) => present, 15_000);
    expect(back.why).toContain(`terminals: /dev/${tty} of uid `);
    expect(back.lastActivityMs).toBeGreaterThan(beganMs - 8_000);
    const idle = await machine.ok(['loginctl', 'show-session', id, '--property=IdleSinceHint', '--value']);
    const ours = back.wallMs - (back.nowMs - (back.lastActivityMs ?? Number.NaN));
    expect(Math.abs(Number(idle) / 1_000 - ours), 'logind says the same').toBeLessThan(1_500);
    const askedMs = Date.now();
    const [, , , wIdle = ''] = (await machine.ok(['w', '--no-header', '--short'])).trim().split(/\s+/);
    const [, seconds = 'none'] = /^([\d.]+)s$/.exec(wIdle) ?? [];
    // It was asked at some moment between these two, and leaves out parts of seconds.
    expect(Number(seconds), `w says ${wIdle}`).toBeGreaterThan((askedMs - ours) / 1_000 - 2.5);
    expect(Number(seconds), `w says ${wIdle}`).toBeLessThan((Date.now() - ours) / 1_000 + 2.5);

    const film = machine.start(['systemd-inhibit', '--what=idle', '--who=player', '--why=a film', 'sleep', '1000']);
    await seen('a film runs', ({ now, why }) => now && why === 'inhibitors: player: a film');
    await machine.ok(['pkill', '-x', 'sleep']);
    await film.exited;
    await seen('the film is over', ({ now }) => !now);

    await type('exit');
    await seen('the session is gone', ({ readings }) => readings[`logind session ${id}`] === undefined);
    expect(verdict()).toMatchObject({ present: true });
    await seen('nobody is there', ({ present }) => !present, awayAfterMs + 5_000);
  },
  300_000,
);

async function bundled(): Promise<string> {
  const entry = join(repository, 'test/fixtures/presence-watch.ts');
  const banner = { js: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);" };
  const options = { bundle: true, platform: 'node', format: 'esm', write: false, banner } as const;
  const { outputFiles } = await build({ entryPoints: [entry], ...options });
  return outputFiles[0]?.text ?? '';
}
