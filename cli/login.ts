import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { formatAddress, readAddress } from '../base/channel/address.ts';
import { call, openClient } from '../base/channel/client.ts';
import { findAuthority } from '../base/channel/find-authority.ts';
import { RefusedError } from '../base/errors.ts';
import { writeCredentials } from '../base/pki/credential-file.ts';
import { makeKeyRequest } from '../base/pki/request.ts';
import { AccessClient } from '../proto/gen/labrun/v1/access.ts';
import { exitCodes, usageError } from './exit.ts';
import { loginFile } from './login-folder.ts';
import type { Printer } from './print.ts';
import { givenToken } from './token-text.ts';

/** Gets a certificate for a token and keeps it: from then on every command speaks to that head as that user. */
export async function login(
  [where = '']: readonly string[],
  options: { readonly token?: string; readonly json?: boolean },
  print: Printer,
): Promise<number> {
  const address = readAddress(where);
  if (address.kind === 'refused') throw new RefusedError(address);
  if (address.kind === 'unix')
    throw usageError(`Cannot log in at ${where}: who may open that socket needs no login; use --head`);
  const token = await givenToken(options.token);
  const { authorityPem } = await findAuthority(address, token.fingerprint);
  const { keyPem, requestPem } = await makeKeyRequest();
  const client = openClient(AccessClient, { ...address, credentials: { authorityPem } }, 'control');
  try {
    const request = { tokenId: token.id, secret: token.secret, requestPem, nodeId: '', nodeName: '', owner: '' };
    const { certificatePem, userName, admin, clusterId } = await call(client, client.enrol, request);
    const head = formatAddress(address);
    await writeCredentials(loginFile(), { head, name: userName, authorityPem, certificatePem, keyPem });
    await rm(`${loginFile()}.lock`, { force: true });
    if (options.json) print.json({ user: userName, admin, head, cluster: clusterId });
    else print.line(`Logged in at ${head} as "${userName}"${admin ? ', an admin' : ''}`);
    return exitCodes.done;
  } finally {
    client.close();
  }
}

/** Forgets the certificate on this machine. Whoever has a copy of it is stopped by "labrun user remove". */
export async function logout(
  _: readonly string[],
  options: { readonly json?: boolean },
  print: Printer,
): Promise<number> {
  const wasIn = existsSync(loginFile()); // whatever is in it
  await rm(loginFile(), { force: true });
  if (options.json) print.json({ changed: wasIn });
  else print.line(wasIn ? 'Logged out' : 'It was so already');
  return exitCodes.done;
}
