import type { Address } from '../../base/channel/address.ts';
import { callerMetadata } from '../../base/channel/caller.ts';
import { call, openClient } from '../../base/channel/client.ts';
import type { Endpoint } from '../../base/channel/credentials.ts';
import { findAuthority } from '../../base/channel/find-authority.ts';
import { systemClock } from '../../base/clock.ts';
import { asNodeId, type NodeId, ulid } from '../../base/ids.ts';
import { makeKeyRequest } from '../../base/pki/request.ts';
import { readToken } from '../../base/pki/token.ts';
import { systemRandom } from '../../base/random.ts';
import { AccessClient, type EnrolRequest } from '../../proto/gen/labrun/v1/access.ts';

const root = callerMetadata({ kind: 'user', name: 'root' });

/** Somebody with a certificate, and where they are to use it. */
export interface Joined {
  readonly endpoint: Endpoint;
  readonly nodeId: NodeId;
}

/** Joins with a token, as the CLI and the agent do. `via`: where to ask instead, such as the head's own socket. */
export async function enrolAt(
  address: Address,
  text: string,
  over: Partial<EnrolRequest> = {},
  via?: Endpoint,
): Promise<Joined> {
  const token = readToken(text);
  if (!token) throw new Error('the head makes proper tokens');
  const { authorityPem } = await findAuthority(address, token.fingerprint);
  const nodeId = aNodeId();
  const { keyPem, requestPem } = await makeKeyRequest();
  const client = openClient(AccessClient, via ?? { ...address, credentials: { authorityPem } }, 'control');
  try {
    const request = { tokenId: token.id, secret: token.secret, requestPem, nodeId, nodeName: '', owner: '', ...over };
    const { certificatePem } = await call(client, client.enrol, request, via ? { metadata: root } : {});
    const credentials = { authorityPem, own: { certificatePem, keyPem } };
    return { endpoint: { ...address, credentials }, nodeId };
  } finally {
    client.close();
  }
}

function aNodeId(): NodeId {
  const id = asNodeId(ulid(systemClock.nowMs(), systemRandom.bytes(10)));
  if (!id) throw new Error('ulid makes ids');
  return id;
}
