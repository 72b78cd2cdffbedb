#!/usr/bin/env node
import { inspect } from 'node:util';
import { CommanderError } from 'commander';
import { Fault, messageOf, RefusedError } from '../base/errors.ts';
import { makeProgram } from './commands.ts';
import { exitCodeOf, exitCodes } from './exit.ts';
import { writeErrorJson, writeLine, writeNote } from './terminal.ts';

// A reader that has seen enough (`labrun events | head`) is no error.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(exitCodes.done);
    throw error;
  });
}

const forScripts = process.argv.includes('--json');

// A bug is told with its stack and ends the process, as without this; its message may hold text from outside.
process.on('uncaughtException', (error) => {
  writeNote(`Uncaught ${inspect(error)}`);
  process.exit(exitCodes.failed);
});

try {
  await makeProgram(
    (code) => {
      process.exitCode = code;
    },
    {
      out: (text) => writeLine(text.replace(/\n$/, '')),
      // What commander says of a usage error comes below, as an object.
      err: (text) => (forScripts ? undefined : writeNote(text.replace(/\n$/, ''))),
    },
  ).parseAsync(process.argv);
} catch (error) {
  const isUsage = error instanceof CommanderError;
  if (isUsage) process.exitCode = error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  else process.exitCode = exitCodeOf(error);
  const message = messageOf(error).replace(/^error: /, '');
  if (forScripts && process.exitCode !== exitCodes.done)
    writeErrorJson(JSON.stringify({ error: { code: codeOf(error), message } }));
  else if (!isUsage) writeNote(message);
}

/** A word for scripts: a refusal's or fault's own code, `usage`, `config`, or `failed`. */
function codeOf(error: unknown): string {
  if (error instanceof CommanderError) return 'usage';
  if (error instanceof RefusedError) return error.refusal.code;
  if (error instanceof Fault) return error.code;
  return error instanceof Error && error.name === 'ConfigError' ? 'config' : 'failed';
}
