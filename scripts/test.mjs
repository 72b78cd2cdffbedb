// Runs lint and all tests, and prints one countable last line. A run in which no test was executed has failed.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const report = join(root, '.build/test-report.json');
mkdirSync(dirname(report), { recursive: true });
rmSync(report, { force: true });

const lint = run('biome', ['check', '.']);
const tests = run('vitest', [
  'run',
  '--reporter=default',
  '--reporter=json',
  `--outputFile.json=${report}`,
  ...process.argv.slice(2),
]);
const counts = readCounts();
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exit(lint === 0 && tests === 0 && counts.failed === 0 && counts.passed > 0 ? 0 : 1);

/** @param {string} tool @param {string[]} args */
function run(tool, args) {
  const result = spawnSync(join(root, 'node_modules/.bin', tool), args, { cwd: root, stdio: 'inherit' });
  return result.status ?? 1;
}

function readCounts() {
  try {
    const json = JSON.parse(readFileSync(report, 'utf8'));
    const unloadable = json.testResults.filter(
      (file) => file.status === 'failed' && file.assertionResults.length === 0,
    ).length;
    return {
      passed: json.numPassedTests,
      failed: json.numFailedTests + unloadable + (lint === 0 ? 0 : 1),
      skipped: json.numPendingTests + json.numTodoTests,
    };
  } catch (error) {
    console.error(`Cannot read the test report: ${error.message}`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
}
