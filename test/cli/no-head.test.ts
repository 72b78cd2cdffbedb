import { expect, it } from 'vitest';
import { Fault } from '../../base/errors.ts';
import { noHead } from '../../cli/no-head.ts';

const said = (code: string, message: string) => noHead('unix:/srv/head.sock', new Fault(code, message), false).message;

it('says of a head that does not answer what to do, and tells only of one that is not there to start it', () => {
  expect(said('UNAVAILABLE', 'No connection established. Last error: connect ENOENT /srv/head.sock')).toMatch(
    /^Cannot reach the head at "unix:\/srv\/head\.sock": connect ENOENT; start it with "labrun head start", or say/,
  );
  expect(said('UNAVAILABLE', 'No connection established. Last error: connect EACCES /srv/head.sock')).toMatch(
    /connect EACCES: that is its own account's socket; log in with a token/,
  );
  expect(said('DEADLINE_EXCEEDED', 'Deadline exceeded after 30.01s,Waiting for LB pick')).toMatch(
    /": no answer came in time; it may have too much to do: try again, see its log, or say/,
  );
  expect(said('CANCELLED', 'Call cancelled')).toMatch(/it ended the call, as one does that is stopped; start it/);
});
