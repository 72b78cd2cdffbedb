import { asClusterId, type ClusterId, ulid } from '../../base/ids.ts';
import { type Authority, certify } from '../../base/pki/authority.ts';
import { makeKeyRequest } from '../../base/pki/request.ts';
import type { Subject } from '../../base/pki/subject.ts';
import { systemRandom } from '../../base/random.ts';

/** A new cluster's id. */
export function aCluster(): ClusterId {
  const id = asClusterId(ulid(1, systemRandom.bytes(10)));
  if (!id) throw new Error('ulid makes ids');
  return id;
}

/** A key and a certificate for it, both PEM. */
export async function aCredential(authority: Authority, subject: Subject, nowMs: number, lifeMs: number) {
  const { keyPem, requestPem } = await makeKeyRequest();
  const certificatePem = await certify(authority, requestPem, subject, nowMs, lifeMs, systemRandom);
  if (certificatePem === undefined) throw new Error('the request is a proper one');
  return { certificatePem, keyPem };
}
