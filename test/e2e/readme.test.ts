import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { Lab, ownLab } from '../kit/lab.ts';
import { capture } from '../kit/processes.ts';
import { program, repository } from '../kit/program.ts';
import { itWith } from '../kit/real-parts.ts';
import { startSshServer } from '../kit/ssh-server.ts';

/** The fenced blocks of a language below a heading of a page, up to the next heading. */
function blocks(heading: string, language: string, page = 'README.md'): string[] {
  const readme = readFileSync(join(repository, page), 'utf8');
  const section = readme.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? '';
  return [...section.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(
    ([, text]) => text ?? '',
  );
}

/** A machine of the README: a home of its own, `labrun` as a command, and the shell that types a block. */
function machine(lab: Lab, name: string) {
  const home = lab.path(name);
  const bin = join(home, 'bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, 'labrun'), `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`);
  writeFileSync(join(bin, 'ssh'), `#!/bin/sh\nexec /usr/bin/ssh -F "${lab.path('ssh/config')}" "$@"\n`);
  for (const command of readdirSync(bin)) chmodSync(join(bin, command), 0o755);
  const { LABRUN_HEAD: _, ...inherited } = lab.env;
  const env = { ...inherited, HOME: home, PATH: `${bin}:${inherited['PATH']}` };
  const typed = (text: string) => ['bash', '-ec', `cd; ${text.replaceAll('/srv/labrun', lab.path('srv'))}`];
  return {
    home,
    start: (text: string) => lab.run(typed(text), env),
    type: async (text: string) => lab.must(await capture(typed(text), { env })).stdout,
  };
}

/** A workstation whose owner minds nothing: whoever runs the tests may well sit at it. */
function workstationOf(lab: Lab) {
  const office = machine(lab, 'office');
  const policy = { onActivity: 'nothing', onMemoryPressure: 'nothing', idle: { resume: '0s', newWork: '0s' } };
  mkdirSync(join(office.home, 'labrun-agent'));
  writeFileSync(join(office.home, 'labrun-agent/agent.yaml'), JSON.stringify({ desk: { policy } }));
  return office;
}

function place(): Lab {
  const lab = new Lab();
  onTestFinished(() => lab.close());
  lab.write('home', { '.keep': '' });
  return lab;
}

it('tells a newcomer a path that works when typed as written', async () => {
  const lab = place();
  const desk = machine(lab, 'desk');
  const [jobFile = ''] = blocks('A batch of your own', 'yaml');
  const [, alone = ''] = blocks('A batch of your own', 'sh');
  writeFileSync(join(desk.home, 'labrun.yaml'), jobFile);
  await desk.type(alone);
  expect(readFileSync(join(desk.home, 'results/pi/throw-n-1e6_seed-01/result.json'), 'utf8')).toMatch(/^\{"pi": 3\.1/);
  expect(readFileSync(join(desk.home, 'results/pi/jobs.csv'), 'utf8').trim().split('\n')).toHaveLength(7);

  const [head = '', agent = '', user = ''] = blocks('A head and an agent', 'sh');
  await desk.start(head).line(/listening on/);
  await desk.start(agent).line(/connected to/);
  expect(await desk.type(user)).toMatch(/1e6[\s\S]*3\.1/);
  expect(readdirSync(join(desk.home, 'pulled/pi')).sort()).toEqual(readdirSync(join(desk.home, 'results/pi')).sort());
}, 60_000);

it('tells how several machines work together', async () => {
  const lab = place();
  const [start = '', tokens = '', workstation = '', laptop = ''] = blocks('Several machines', 'sh');
  const storage = machine(lab, 'storage');
  // A port of the test's own, on one machine.
  const listening = await storage.start(`${start.trimEnd()} --grpc 127.0.0.1:0`).line(/listening on/);
  const address = /127\.0\.0\.1:\d+/.exec(listening)?.[0] ?? '';
  const [forNode = '', forUser = ''] = (await storage.type(tokens)).trim().split('\n');
  const there = (text: string, token: string) => text.replaceAll('storage:7420', address).replaceAll('TOKEN', token);
  await workstationOf(lab)
    .start(there(workstation, forNode))
    .line(/connected to/);
  const user = machine(lab, 'laptop');
  expect(await user.type(there(laptop, forUser))).toMatch(/connected/);

  const file = lab.jobFile('afar', {
    name: 'afar',
    jobs: [{ name: 'j', needs: { cpus: 1 }, run: 'head -c 5000000 /dev/zero > $LABRUN_ARCHIVE/data; echo done' }],
  });
  await user.type(`labrun submit ${file} --wait; labrun pull afar --to pulled`);
  expect(readFileSync(join(user.home, 'pulled/afar/j/data')).length).toBe(5_000_000);
  expect(await user.type('labrun status afar')).toContain('by ada');
}, 60_000);

itWith('ssh')(
  'tells how several machines work together through sockets that ssh forwards',
  async () => {
    const lab = await ownLab({ agents: {} });
    await startSshServer(lab.path('ssh'), 'storage', (argv) => lab.run(argv));
    const [storage = '', workstation = '', laptop = ''] = blocks('Several machines', 'sh', 'docs/ssh.md');
    mkdirSync(lab.path('srv'));

    await machine(lab, 'storage')
      .start(storage)
      .line(/listening on/);
    await workstationOf(lab)
      .start(workstation)
      .line(/connected to/);
    const user = machine(lab, 'laptop');
    expect(await user.type(laptop)).toContain('office-1');

    const file = lab.jobFile('afar', {
      name: 'afar',
      namespace: 't',
      jobs: [{ name: 'j', needs: { cpus: 1 }, run: 'head -c 5000000 /dev/zero > $LABRUN_ARCHIVE/data; echo done' }],
    });
    const head = 'export LABRUN_HEAD=unix:$HOME/labrun.sock';
    await user.type(`${head}; labrun submit ${file} --wait; labrun pull t/afar --to pulled`);
    expect(readFileSync(join(user.home, 'pulled/afar/j/data')).length).toBe(5_000_000);
  },
  60_000,
);
