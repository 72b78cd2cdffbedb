import { rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Address } from '../base/channel/address.ts';
import { formatAddress } from '../base/channel/address.ts';
import { call, openClient } from '../base/channel/client.ts';
import { findAuthority } from '../base/channel/find-authority.ts';
import type { Clock } from '../base/clock.ts';
import { isSystemError, RefusedError, refused } from '../base/errors.ts';
import type { NodeId } from '../base/ids.ts';
import { makeFolder } from '../base/make-folder.ts';
import { writeCredentials } from '../base/pki/credential-file.ts';
import { makeKeyRequest } from '../base/pki/request.ts';
import type { Token } from '../base/pki/token.ts';
import { AccessClient } from '../proto/gen/labrun/v1/access.ts';
import { openRecord } from './store/record.ts';

/** How a workstation joins. */
export interface JoinOptions {
  readonly root: string;
  readonly address: Address;
  readonly token: Token;
  readonly nodeName: string;
  /** The user who sits at it; empty for nobody. */
  readonly owner: string;
  /** Nobody sits at it. */
  readonly dedicated: boolean;
  readonly newNodeId: () => NodeId;
  readonly clock: Clock;
}

/** Where an agent keeps what it shows its head, below its data folder. */
export function credentialFile(root: string): string {
  return join(root, 'identity', 'credentials.json');
}

/** Whether this agent has joined as one of a machine where nobody sits. */
export async function joinedDedicated(root: string): Promise<boolean> {
  try {
    await stat(dedicatedFile(root));
    return true;
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

function dedicatedFile(root: string): string {
  return join(root, 'identity', 'dedicated');
}

/**
 * Has the agent of this data folder certified by a head, for the node id of its record. Rejects with `RefusedError` when
 * the head does not want it, or when the folder holds work for another cluster.
 */
export async function joinCluster(
  options: JoinOptions,
): Promise<{ readonly clusterId: string; readonly expiresAtMs: number }> {
  const { root, address, token, nodeName, owner } = options;
  const { authorityPem, clusterId } = await findAuthority(address, token.fingerprint, options.clock);
  await makeFolder(root, 0o700);
  const record = await openRecord(join(root, 'record'), options.newNodeId, options.clock);
  try {
    // Before the token is spent.
    if (record.clusterId !== undefined && record.clusterId !== clusterId) {
      throw new RefusedError(
        refused(
          'conflict',
          `Cannot join cluster ${clusterId}: this data directory belongs to ${record.clusterId} and may hold its results; use another --data`,
        ),
      );
    }
    const { keyPem, requestPem } = await makeKeyRequest();
    const client = openClient(AccessClient, { ...address, credentials: { authorityPem } }, 'control');
    try {
      const request = { tokenId: token.id, secret: token.secret, requestPem, nodeId: record.nodeId, nodeName, owner };
      const made = await call(client, client.enrol, request);
      const { certificatePem } = made;
      await writeCredentials(credentialFile(root), {
        head: formatAddress(address),
        name: nodeName,
        authorityPem,
        certificatePem,
        keyPem,
      });
      if (options.dedicated) await writeFile(dedicatedFile(root), '');
      else await rm(dedicatedFile(root), { force: true });
      return { clusterId, expiresAtMs: Number(made.expiresAtMs) };
    } finally {
      client.close();
    }
  } finally {
    await record.close();
  }
}
