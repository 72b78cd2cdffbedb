import { text } from 'node:stream/consumers';
import { readToken, type Token } from '../base/pki/token.ts';
import { usageError } from './exit.ts';

/**
 * The token a person gave: `--token`, `--token -` for standard input, or `LABRUN_TOKEN`. The last two are never shown by
 * `ps`; the first is for the moment in which this program starts.
 */
export async function givenToken(option: string | undefined): Promise<Token> {
  // What was typed is in `ps` for everyone to see; from here on it is not.
  if (option !== undefined && option !== '-') process.title = 'labrun';
  const given = option === '-' ? await text(process.stdin) : (option ?? process.env['LABRUN_TOKEN'] ?? '');
  if (given.trim() === '')
    throw usageError(
      'Cannot go on without a token: give --token T, or "--token -" and the token on standard input, or LABRUN_TOKEN',
    );
  const token = readToken(given);
  if (!token) throw usageError('Cannot read the token: copy all of it, it begins with "labrun1."');
  return token;
}
