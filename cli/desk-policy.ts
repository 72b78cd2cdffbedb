import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { call } from '../base/channel/client.ts';
import { isSystemError, messageOf, RefusedError, refused } from '../base/errors.ts';
import { readDeskPolicy } from '../config/desk-policy.ts';
import { ConfigError } from '../config/reading/problems.ts';
import type { PolicyText } from '../proto/gen/labrun/v1/desk.ts';
import { type Desk, type DeskCommandOptions, withDesk } from './desk-connect.ts';
import { exitCodes, noMoreWords, usageError } from './exit.ts';
import type { Printer } from './print.ts';
import { openEditor } from './terminal.ts';

/** Prints the policy of the machine's owner as they wrote it; where nobody has, all that holds. */
export async function showPolicy(
  words: readonly string[],
  options: DeskCommandOptions,
  print: Printer,
): Promise<number> {
  noMoreWords('labrun desk policy', words, ['show', 'set FILE', 'edit']);
  const { yaml, effective } = await withDesk(options, getPolicy);
  if (options.json) print.json({ policy: yaml, effective });
  else {
    if (yaml === '') print.note('Nobody has set a policy here; what holds is:');
    print.line((yaml || effective).trimEnd());
  }
  return exitCodes.done;
}

/** Takes a policy from a file, or from standard input; an empty one is the default again. */
export async function setPolicy(
  [file = '']: readonly string[],
  options: DeskCommandOptions,
  print: Printer,
): Promise<number> {
  return take(file === '-' ? 'standard input' : file, readPolicy(file), options, print);
}

/** Opens the policy in an editor, again and again until it is right or left as it was. */
export async function editPolicy(_: readonly string[], options: DeskCommandOptions, print: Printer): Promise<number> {
  const { yaml, effective, refusal } = await withDesk(options, getPolicy);
  // Before anybody has written anything.
  if (refusal !== '') throw new RefusedError(refused('denied', refusal));
  const folder = mkdtempSync(join(tmpdir(), 'labrun-policy-'));
  const file = join(folder, 'policy.yaml');
  let isKept = false;
  try {
    writeFileSync(file, yaml === '' ? policyStart(effective) : `${yaml.trimEnd()}\n`);
    for (let before = readFileSync(file, 'utf8'); ; ) {
      await openEditor(file);
      const text = readFileSync(file, 'utf8');
      if (text === before) {
        print.note('Nothing was changed');
        return exitCodes.done;
      }
      try {
        return await take('policy', text.replaceAll(wrongLines, ''), options, print);
      } catch (error) {
        if (!(error instanceof ConfigError || (error instanceof RefusedError && error.refusal.code === 'invalid'))) {
          // An agent that is away, perhaps: what somebody has written is not lost for that.
          isKept = true;
          print.note(`What you wrote is in ${file}; take it with "labrun desk policy set ${file}"`);
          throw error;
        }
        before = marked(text.replaceAll(wrongLines, ''), error.message);
        writeFileSync(file, before);
      }
    }
  } finally {
    if (!isKept) rmSync(folder, { recursive: true, force: true });
  }
}

/** Before the lines that say what is wrong, above the text that is. */
const wrongMark = '#! ';
const wrongLines = /^#! .*\n/gm;

/** A text with what is wrong above it, its lines counted from there. */
function marked(text: string, message: string): string {
  const below = '\n'.repeat(message.split('\n').length);
  return `${(problemsOf(below + text) ?? message).replaceAll(/^/gm, wrongMark)}\n${text}`;
}

function problemsOf(text: string): string | undefined {
  try {
    readDeskPolicy('policy', text);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** Checked here, where its file has a name, and by the agent, whose word counts. */
async function take(name: string, yaml: string, options: DeskCommandOptions, print: Printer): Promise<number> {
  readDeskPolicy(name, yaml);
  await withDesk(options, ({ client, prove }) =>
    call(client, client.setPolicy, { yaml, effective: '', refusal: '' }, { metadata: prove() }),
  );
  if (options.json) print.json({ policy: yaml });
  else print.line(yaml.trim() === '' ? 'the default holds again' : 'the new policy holds');
  return exitCodes.done;
}

function readPolicy(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    const why = isSystemError(error, 'ENOENT') ? 'there is no such file' : messageOf(error);
    throw usageError(`Cannot read the policy "${file}": ${why}`);
  }
}

function policyStart(effective: string): string {
  return `# What is done on this machine while you are at it. Lines that begin with #
# say what holds anyway: take the # away from those that you change.
# docs/desk.md tells of each.
${effective.replaceAll(/^(?=.)/gm, '#')}`;
}

function getPolicy({ client, prove }: Desk): Promise<PolicyText> {
  return call(client, client.getPolicy, {}, { metadata: prove() });
}
