import { describe, expect, it } from 'vitest';
import { capture } from '../kit/processes.ts';
import { program, repository } from '../kit/program.ts';

describe('a short fuzzing of everything that reads what strangers write', () => {
  it('finds no crash, no hang and no memory above the limit', async () => {
    const fuzz = program.replace('labrun.js', 'fuzz.js');
    const argv = [process.execPath, fuzz, '--minutes', '0.15', '--seed', '1'];
    const { code, stdout, stderr } = await capture(argv, { cwd: repository });
    expect(stdout + stderr).toMatch(/\d+ inputs run, \d{4,} blocks reached, \d+ MiB at most, 0 findings/);
    expect(code).toBe(0);
  }, 20_000);
});
