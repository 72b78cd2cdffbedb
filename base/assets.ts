import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * The file of a worker in `base/workers/`, or of "terminal", the process that keeps one. In the bundle workers are entry points beside the program; from source
 * (tests) they are the TypeScript files themselves. This is the one place that knows.
 */
export function workerFile(name: string): string {
  const bundled = fileURLToPath(new URL(`./worker-${name}.js`, import.meta.url));
  return existsSync(bundled) ? bundled : fileURLToPath(new URL(`../dist/worker-${name}.js`, import.meta.url));
}

/** The folder of the shipped examples, from source and from the bundle alike. */
export function examplesFolder(): string {
  return fileURLToPath(new URL('../examples/', import.meta.url));
}

/** This program's own bundle, for starting it again as a child process. */
export function programFile(): string {
  const bundled = fileURLToPath(new URL('./labrun.js', import.meta.url));
  return existsSync(bundled) ? bundled : fileURLToPath(new URL('../dist/labrun.js', import.meta.url));
}
