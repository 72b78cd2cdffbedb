import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { expect, it } from 'vitest';
import { makeProgram } from '../../cli/commands.ts';
import { repository } from '../kit/program.ts';

const page = readFileSync(join(repository, 'docs/access.md'), 'utf8');

/** The command a line names, and the words after it. */
function find(words: readonly string[]): { command: Command; rest: readonly string[] } {
  let command: Command = makeProgram(() => {}, { out() {}, err() {} });
  for (const [at, word] of words.entries()) {
    const inner = command.commands.find((one) => one.name() === word);
    if (!inner) return { command, rest: words.slice(at) };
    command = inner;
  }
  return { command, rest: [] };
}

it('shows only commands and options that the program has', () => {
  const lines = [...page.matchAll(/^labrun (.*)$/gm)].map(([, line]) => line ?? '');
  expect(lines.length).toBeGreaterThan(20);
  for (const line of lines) {
    const { command, rest } = find(line.split(' '));
    expect(command.commands, line).toEqual([]);
    for (const option of rest.filter((word) => /^--\w/.test(word))) {
      expect(
        command.options.map(({ long }) => long),
        line,
      ).toContain(option);
    }
  }
});

it('explains refusals in the words in which they come', () => {
  const table = page.split('## When something is refused')[1]?.split('##')[0] ?? '';
  const quoted = [...table.matchAll(/^\| (`.*?`) \| /gm)].flatMap(
    ([, cell]) => (cell ?? '').match(/[^`,][^`]*[^`, ]/g) ?? [],
  );
  expect(quoted.length).toBeGreaterThan(10);
  const sources = ['head', 'base', 'cli'].flatMap((room) =>
    readdirSync(join(repository, room), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => readFileSync(join(repository, room, name), 'utf8')),
  );
  const code = sources.join('\n');
  for (const words of quoted) expect(code.includes(words), words).toBe(true);
});
