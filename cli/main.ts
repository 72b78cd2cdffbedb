#!/usr/bin/env node
import { inspect } from 'node:util';
import { CommanderError } from 'commander';
import { Fault, messageOf, RefusedError } from '../base/errors.ts';
import { makeProgram } from './commands.ts';
import { exitCodeOf, exitCodes } from './exit.ts';
import { localTimes } from './local-times.ts';
import { isReaderGone, ReaderGone, writeErrorJson, writeLine, writeNote } from './terminal.ts';

// What is said beside the answer may be lost: whoever closed their window, or reads no more, did not ask for an end.
process.stderr.on('error', () => undefined);
// A reader that has seen enough (`labrun events | head`) is no error either: a command that writes on hears of it by
// `ReaderGone`, and one that does something goes on with it.
process.stdout.on('error', (error) => {
  if (isReaderGone(process.stdout, error)) return;
  writeNote(`Cannot write the answer: ${messageOf(error)}`);
  process.exit(exitCodes.failed);
});

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
  if (error instanceof ReaderGone) process.exitCode = exitCodes.done;
  else if (isUsage) process.exitCode = error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  else process.exitCode = exitCodeOf(error);
  const message = messageOf(error).replace(/^error: /, '');
  if (forScripts && process.exitCode !== exitCodes.done)
    writeErrorJson(JSON.stringify({ error: { code: codeOf(error), message } }));
  else if (!isUsage && !(error instanceof ReaderGone)) writeNote(localTimes(message));
}

/** A word for scripts: a refusal's or fault's own code, `usage`, `config`, or `failed`. */
function codeOf(error: unknown): string {
  if (error instanceof CommanderError) return 'usage';
  if (error instanceof RefusedError) return error.refusal.code;
  if (error instanceof Fault) return error.code;
  return error instanceof Error && error.name === 'ConfigError' ? 'config' : 'failed';
}
