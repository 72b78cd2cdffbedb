import { describe, expect, it } from 'vitest';
import { capture } from '../kit/processes.ts';
import { program, repository } from '../kit/program.ts';

describe('a short fuzzing', () => {
  const fuzz = program.replace('labrun.js', 'fuzz.js');
  const run = async (what: string, minutes: string) => {
    const argv = [process.execPath, fuzz, '--minutes', minutes, '--seed', '1', '--only', what];
    const { code, stdout, stderr } = await capture(argv, { cwd: repository });
    expect(stdout + stderr).toMatch(/\d+ inputs run, \d{4,} blocks reached, \d+ MiB at most, 0 findings/);
    expect(code).toBe(0);
  };

  it(
    'of everything that reads what strangers write finds no crash, no hang and no memory above the limit',
    () => run('readers', '0.15'),
    60_000,
  );

  it(
    'of every method of a running head finds no crash, no hang, no memory above the limit and no answer but refusals',
    () => run('head', '0.12'),
    60_000,
  );
});
