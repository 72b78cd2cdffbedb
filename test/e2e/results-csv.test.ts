import { parse } from 'csv-parse/sync';
import { expect, it } from 'vitest';
import { sharedLab } from '../kit/lab.ts';

const lab = sharedLab();

it('writes values into CSV as they are, so that whoever reads it gets them back', async () => {
  const values = {
    trailing: 'end  \t',
    lines: 'a\r\nb\n',
    quoted: 'say "hi", twice',
    escape: '\x1b[31mred',
    last: 'x ',
  };
  const run = `cat > $LABRUN_ARCHIVE/result.json <<'END'\n${JSON.stringify(values)}\nEND`;
  const spec = { name: 'csv', namespace: 't', jobs: [{ name: 'j', needs: { cpus: 1 }, run }] };
  await lab().ok('submit', lab().jobFile('csv', spec), '--wait');
  const [row] = parse(await lab().ok('results', 't/csv', '--csv'), { columns: true });
  expect(row).toEqual({ job: 'j', state: 'succeeded', ...values });
});
