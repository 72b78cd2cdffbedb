import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { transcriptOf } from '../kit/scenario.ts';

// Each script has its transcript beside it. To accept a changed one, read its diff, then: npx vitest run test/scenarios -u
const folder = fileURLToPath(new URL('.', import.meta.url));
const scripts = readdirSync(folder).filter((name) => name.endsWith('.script.txt'));

describe('scenarios', () => {
  it('are there', () => expect(scripts.length).toBeGreaterThan(0));

  for (const script of scripts) {
    it(`goes as written: ${script.replace('.script.txt', '').replaceAll('-', ' ')}`, async () => {
      const transcript = transcriptOf(readFileSync(join(folder, script), 'utf8'));
      expect(transcript).not.toContain('BROKEN');
      await expect(transcript).toMatchFileSnapshot(join(folder, script.replace('.script.', '.transcript.')));
    });
  }
});
