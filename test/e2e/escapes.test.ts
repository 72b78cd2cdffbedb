import { writeFileSync } from 'node:fs';
import { expect } from 'vitest';
import { inTerminal } from '../kit/a-terminal.ts';
import { type Lab, ownLab } from '../kit/lab.ts';
import { program } from '../kit/program.ts';
import { itWith } from '../kit/real-parts.ts';

/** Clears the screen, retitles the window, paints red what follows, in seven and in eight bits; turns the writing. */
const evil = '\x1b[2J\x1b]0;owned\x07\x1b[41m\x9b2J\u202e\x7f';
/** The same, for printf. */
const typed = '\\033[2J\\033]0;owned\\007\\033[41m\\302\\2332J\\342\\200\\256\\177';

/** What reaches the terminal beside text: our own colours, and how the bar moves and hides the cursor. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is its purpose
const ours = /\x1b\[(?:[12]|22|3[1236]|39)m|\x1b\[\?(?:25|7)[hl]|\x1b\[\d*[GJK]|\x1b[78]/g;
const obeyed = /[^\t\n -~\u00a0-\u200d\u2010-\u2027\u2030-\u2065\u206a-\u{10ffff}]/u;

async function see(lab: Lab, ...args: string[]): Promise<string> {
  const { NO_COLOR: _, ...env } = lab.env;
  const { stdout } = await inTerminal([process.execPath, program, ...args], { env, cwd: lab.folder });
  const left = stdout.replace(ours, '');
  expect(obeyed.exec(left), `${args.join(' ')}: ${JSON.stringify(left)}`).toBeNull();
  return stdout;
}

itWith('script')(
  'shows what jobs and files say without obeying it, in every command that may show it',
  async () => {
    const lab = await ownLab({ agents: { n1: { settings: { capabilities: { tool: { version: evil } } } } } });
    const run = [
      `printf '${typed}\\n'`,
      `echo '{"k\\u001b[41m": "\\u001b[2J", "c": "\\u009b2J"}' > $LABRUN_ARCHIVE/result.json`,
      `touch "$LABRUN_ARCHIVE/$(printf 'f${typed}')"`,
      `printf '${typed} the end\\n' >&2`,
      'exit {{code}}',
    ].join('\n');
    const jobs = [{ name: 'j', matrix: { code: ['0', '3'] }, env: { E: evil }, needs: { cpus: 1 }, run }];
    const file = lab.jobFile('evil', { name: 'evil', namespace: 't', jobs });
    expect(await see(lab, 'submit', file, '--wait')).toContain('1 failed');

    const shows = [
      ['nodes'],
      ['logs', 't/evil/j-code-0'],
      ['status', 't/evil'],
      ['why', 't/evil/j-code-3'],
      ['events'],
      ['wait', 't/evil'],
      ['results', 't/evil'],
      ['results', 't/evil', '--csv'],
      ['pull', 't/evil', '--dry-run'],
    ];
    // What was made harmless is still told, so that people see that someone tried.
    for (const args of shows) expect(await see(lab, ...args), args.join(' ')).toMatch(/\\x1b\[2J|\\x9b2J/);
    for (const args of [['status', 't/evil'], ['events'], ['results', 't/evil']])
      expect(await see(lab, ...args, '--json')).toMatch(/\\u001b\[2J|\\u009b2J/);
    await see(lab, 'pull', 't/evil', '--to', lab.path('pulled'));
    for (const args of [['audit'], ['status', '--all'], ['nodes', '--json']]) await see(lab, ...args);
  },
  60_000,
);

itWith('script')(
  'repeats what was typed, and what a file holds, without obeying it',
  async () => {
    const lab = await ownLab({ agents: {} });
    const wrong = lab.jobFile('wrong', {
      name: evil,
      [evil]: 1,
      jobs: [{ name: 'j', run: 'true', env: { [evil]: '1' } }],
    });
    const evilFile = lab.path(`${evil.replaceAll('\x1b]0;', '')}.yaml`);
    writeFileSync(evilFile, 'name: [');
    const agent = ['agent', 'start', '--data', lab.path('a')];
    for (const args of [
      [evil],
      ['status', `--${evil}`],
      ['status', '--state', evil],
      ['status', evil],
      ['status', evil, '--json'],
      ['logs', 't/b', '--attempt', evil],
      ['nodes', '--head', evil],
      ['nodes', '--head', `unix:/${evil}`],
      ['validate', wrong],
      ['validate', evilFile],
      ['validate', wrong, '--json'],
      ['completion', evil],
      [...agent, '--name', evil],
      [...agent, '--config', evilFile],
      ['head', 'start', '--data', `/nowhere/${evil}`],
    ]) {
      expect(await see(lab, ...args), args.join(' ')).toMatch(/\\x1b|\\u001b|\\x9b|\\u009b/);
    }
  },
  60_000,
);
