#!/usr/bin/env node
import { CommanderError } from 'commander';
import { messageOf } from '../base/errors.ts';
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

try {
  await makeProgram((code) => {
    process.exitCode = code;
  }).parseAsync(process.argv);
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  } else {
    process.stderr.write(`${harmless(messageOf(error))}\n`);
    process.exitCode = exitCodeOf(error);
  }
}
