import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { processesNaming } from '../kit/proc.ts';
import { Running } from '../kit/processes.ts';
import { program } from '../kit/program.ts';
import { itWith } from '../kit/real-parts.ts';
import { until } from '../kit/until.ts';

it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
  'ends and removes everything when %s comes in the middle of a job',
  async (signal) => {
    const folder = mkdtempSync(join(tmpdir(), 'private-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const hidden = `1000.${process.pid}${signal.length}`; // a number to know it by: it names nothing else of ours
    const file = join(folder, 'labrun.yaml');
    // Deeper than a path may be long: also this must go.
    const step = 'require("node:fs").mkdirSync("level"); process.chdir("level");';
    const nest = `${process.execPath} -e 'for (let level = 0; level < 1500; level++) { ${step} }'`;
    const job = {
      name: 'long',
      needs: { cpus: 1 },
      run: `${nest}; cd /; env -i setsid sleep ${hidden} & touch ${folder}/runs; sleep 1000`,
    };
    writeFileSync(file, JSON.stringify({ name: 'long', jobs: [job] }));
    const env = { PATH: process.env['PATH'] ?? '', HOME: folder, TMPDIR: folder };
    const run = new Running([process.execPath, program, 'run', file, '--to', folder], { env, cwd: folder });
    await until('the job runs', () => readdirSync(folder).includes('runs') || run.ended, 20_000);
    expect(run.ended, run.lines.join('\n')).toBe(false);
    expect(await run.end(signal)).toEqual({ code: 130, signal: null });
    expect([...processesNaming(folder), ...processesNaming(`sleep\0${hidden}`)]).toEqual([]);
    expect(readdirSync(folder).sort()).toEqual(['labrun.yaml', 'runs']);
  },
  40_000,
);

itWith('script')(
  'ends and removes everything when its terminal is closed in the middle of a job',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'private-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const job = { name: 'long', needs: { cpus: 1 }, run: `touch ${folder}/runs; sleep 1000` };
    writeFileSync(join(folder, 'labrun.yaml'), JSON.stringify({ name: 'long', jobs: [job] }));
    const env = { PATH: process.env['PATH'] ?? '', HOME: folder, TMPDIR: folder, TERM: 'xterm', SHELL: '/bin/sh' };
    const command = `exec ${process.execPath} ${program} run`;
    const window = new Running(['script', '-qfec', command, '/dev/null'], { env, cwd: folder, typed: true });
    await until('the job runs', () => readdirSync(folder).includes('runs') || window.ended, 20_000);
    await window.end('SIGKILL'); // nobody can be told anything any more
    await until('nothing of it runs', () => processesNaming(folder).length === 0);
    expect(readdirSync(folder).sort()).toEqual(['labrun.yaml', 'runs']);
  },
  60_000,
);
