#!/usr/bin/env node
import { CommanderError } from 'commander';
import { Fault, messageOf, RefusedError } from '../base/errors.ts';
import { makeProgram } from './commands.ts';
import { exitCodeOf, exitCodes } from './exit.ts';
import { harmless } from './harmless.ts';

// A reader that has seen enough (`labrun events | head`) is no error.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(exitCodes.done);
    throw error;
  });
}

const forScripts = process.argv.includes('--json');
const complain = (text: string) => void process.stderr.write(text);

try {
  await makeProgram(
    (code) => {
      process.exitCode = code;
    },
    // What commander says of a usage error comes below, as an object.
    forScripts ? () => {} : complain,
  ).parseAsync(process.argv);
} catch (error) {
  const isUsage = error instanceof CommanderError;
  if (isUsage) process.exitCode = error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  else process.exitCode = exitCodeOf(error);
  const message = messageOf(error).replace(/^error: /, '');
  if (forScripts && process.exitCode !== exitCodes.done)
    complain(`${JSON.stringify({ error: { code: codeOf(error), message } })}\n`);
  else if (!isUsage) complain(`${harmless(message)}\n`);
}

/** A word for scripts: a refusal's or fault's own code, `usage`, `config`, or `failed`. */
function codeOf(error: unknown): string {
  if (error instanceof CommanderError) return 'usage';
  if (error instanceof RefusedError) return error.refusal.code;
  if (error instanceof Fault) return error.code;
  return error instanceof Error && error.name === 'ConfigError' ? 'config' : 'failed';
}
