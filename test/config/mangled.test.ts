import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { resolveJobFile } from '../../config/job-file.ts';
import { ConfigError } from '../../config/reading/problems.ts';
import { sampleJobFile, sampleKinds } from '../../config/sample.ts';
import { readSpec } from '../../config/spec-file.ts';
import { jobFolder } from '../kit/job-folder.ts';

// What stands in for a careless hand: pieces of a good file are cut out, doubled, moved, or replaced by what trips YAML.
const piece = fc.constantFrom(
  '',
  ' ',
  '\n',
  ': ',
  '- ',
  '{{nu}}',
  '{{x}}',
  '[',
  ']',
  '{',
  '}',
  '*',
  '&a ',
  '"',
  "'",
  '|',
  '#',
  '..',
  '/',
  '0',
  '\t',
  '~',
  '\0',
  '<<: ',
);
const cut = fc.record({ at: fc.nat(4_000), length: fc.nat(40), instead: piece });

describe('a mangled job file', () => {
  for (const kind of sampleKinds) {
    it(`is either refused with reasons, or good: ${kind}`, async () => {
      const { fileName, text, files } = sampleJobFile(kind);
      const folder = jobFolder(Object.fromEntries(files.map((path) => [path, 'x'])));
      await fc.assert(
        fc.asyncProperty(fc.array(cut, { minLength: 1, maxLength: 4 }), async (cuts) => {
          let mangled = text;
          for (const { at, length, instead } of cuts) {
            const from = at % mangled.length;
            mangled = mangled.slice(0, from) + instead + mangled.slice(from + length);
            if (mangled === '') mangled = ' ';
          }
          writeFileSync(join(folder, fileName), mangled);
          await expectReasonsOrSpec(join(folder, fileName));
        }),
        { numRuns: 150 },
      );
    });
  }
});

async function expectReasonsOrSpec(path: string): Promise<void> {
  try {
    const { specBytes, spec } = await resolveJobFile(path, { user: 'kim' });
    expect(readSpec(specBytes)).toEqual(spec);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.problems.length).toBeGreaterThan(0);
  }
}
