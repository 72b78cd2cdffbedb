import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { sharedLab } from '../kit/lab.ts';
import { tree } from '../kit/trees.ts';
import { until } from '../kit/until.ts';

const lab = sharedLab();

/** Runs one job and answers how the head tells of it. */
async function run(name: string, text: string, more: object = {}) {
  const jobs = [{ name: 'j', needs: { cpus: 1 }, run: text, ...more }];
  const { code } = await lab().labrun('submit', lab().jobFile(name, { name, namespace: 't', jobs }), '--wait');
  const { jobs: told } = await lab().json('status', `t/${name}`);
  return { code, job: told[0] };
}

describe('names what no archive can hold, and keeps everything else:', () => {
  const nest = `${process.execPath} -e '
    for (let level = 0; level < 3000; level++) { require("node:fs").mkdirSync("level"); process.chdir("level"); }'`;
  const odd: Record<string, { text: string; says: RegExp; more?: object }> = {
    'a FIFO': { text: 'mkfifo $LABRUN_ARCHIVE/pipe', says: /"pipe": it is a FIFO/ },
    'a name that is no text': { text: `touch $LABRUN_ARCHIVE/$'bad\\xff'`, says: /"bad.": its name is no UTF-8 text/ },
    'a link to such a name': {
      text: `ln -s $'bad\\xff' $LABRUN_ARCHIVE/link`,
      says: /"link": it points to a name that is no UTF-8 text/,
    },
    'a terabyte of nothing': {
      text: 'truncate -s 1T $LABRUN_ARCHIVE/hole',
      says: /"hole": it is 1\.0 TiB long, takes 0 B of disk; beyond 16\.0 GiB/,
    },
    'folders deeper than a path may be long': {
      text: `mkdir $LABRUN_ARCHIVE/deep; (cd $LABRUN_ARCHIVE/deep; ${nest})`,
      says: /its path is longer than 1024 bytes/,
    },
    'what lies behind a link that leads elsewhere': {
      text: 'ln -s /etc out',
      says: /"out\/passwd": a link on the way to it leads elsewhere/,
      more: { archive: ['out/passwd'] },
    },
    'a pattern that would take for ever': {
      text: `touch ${'a'.repeat(200)}`,
      says: /"a\*a\*.*Z": the pattern ".*" takes too long to match/,
      more: { archive: [`${'a*'.repeat(12)}Z`] },
    },
  };

  it.each(Object.entries(odd))('%s', async (what, { text, says, more }) => {
    const name = what.replace(/\W+/g, '-');
    const { code, job } = await run(name, `${text}; echo kept > $LABRUN_ARCHIVE/file`, more);
    expect(code).toBe(1);
    expect(job).toMatchObject({ state: 'failed', reason: 'archive-failed', exitCode: 0 });
    expect(job.message).toMatch(says);
    const found = Object.entries(tree(`${lab().archive}/t/${name}/j`)).filter(([path]) => !path.endsWith('/'));
    expect(Object.fromEntries(found)).toEqual({ file: 'kept\n' });
  });
});

it('keeps links as they are, and follows none', async () => {
  const { code } = await run(
    'links',
    'cd $LABRUN_ARCHIVE; ln -s /etc/passwd users; ln -s .. up; ln -s users more; echo x >f',
  );
  expect(code).toBe(0);
  expect(tree(`${lab().archive}/t/links/j`)).toEqual({
    users: '-> /etc/passwd',
    up: '-> ..',
    more: '-> users',
    f: 'x\n',
  });
});

it('tells of a job that made a FIFO of its log as of any other, and runs the next', async () => {
  const { job } = await run('mute', 'echo said; rm ../log; mkfifo ../log; exit 3');
  expect(job).toMatchObject({ state: 'failed', reason: 'exit', exitCode: 3 });
  expect(job.message).toContain('something else in its place');
  await run('after', 'echo heard');
  expect(readFileSync(`${lab().archive}/t/after/j/.labrun/log`, 'utf8')).toBe('heard\n');
});

it('leaves nothing of all this on the node', async () => {
  const attempts = join(lab().agentFolder('n1'), 'attempts');
  const left = () => readdirSync(attempts).filter((name) => !name.startsWith('spare-'));
  await until(
    () => `nothing of the jobs is left, but ${left()} is`,
    () => left().length === 0,
    20_000,
  );
});
