import { expect, it } from 'vitest';
import { asClusterId, type ClusterId, ulid } from '../../../base/ids.ts';
import { certify, makeAuthority } from '../../../base/pki/authority.ts';
import { fingerprintOf, isIssuedBy, readCertificate } from '../../../base/pki/certificate.ts';
import { makeKeyRequest } from '../../../base/pki/request.ts';
import { systemRandom } from '../../../base/random.ts';

const nowMs = Date.parse('2026-11-21T00:00:00Z');
const dayMs = 24 * 3_600_000;

function aCluster(): ClusterId {
  const id = asClusterId(ulid(nowMs, systemRandom.bytes(10)));
  if (!id) throw new Error('ulid makes ids');
  return id;
}

it('certifies a key for the subject it was told, whatever the request says', async () => {
  const clusterId = aCluster();
  const authority = await makeAuthority(clusterId, nowMs, systemRandom);
  const { requestPem } = await makeKeyRequest();
  const subject = { kind: 'user', clusterId, name: 'ada@lab' } as const;
  const pem = await certify(authority, requestPem, subject, nowMs, 90 * dayMs, systemRandom);
  const certificate = readCertificate(pem ?? '');
  expect(certificate).toMatchObject({ subject, notAfterMs: nowMs + 90 * dayMs });
  expect(certificate?.serial).toMatch(/^[0-9a-f]{30}$/);
  expect(isIssuedBy(pem ?? '', authority.certificatePem)).toBe(true);
  expect(fingerprintOf(authority.certificatePem)).toMatch(/^[A-Za-z0-9_-]{43}$/);
});

it('does not take another authority of the same name for its own', async () => {
  const clusterId = aCluster();
  const [own, other] = [
    await makeAuthority(clusterId, nowMs, systemRandom),
    await makeAuthority(clusterId, nowMs, systemRandom),
  ];
  const { requestPem } = await makeKeyRequest();
  const pem = await certify(other, requestPem, { kind: 'head', clusterId }, nowMs, dayMs, systemRandom);
  expect(isIssuedBy(pem ?? '', own.certificatePem)).toBe(false);
});

it('certifies nothing that is no request, or was changed after it was signed', async () => {
  const clusterId = aCluster();
  const authority = await makeAuthority(clusterId, nowMs, systemRandom);
  const { requestPem } = await makeKeyRequest();
  const lines = requestPem.split('\n');
  const body = Buffer.from(lines.slice(1, -1).join(''), 'base64');
  body[body.length - 5] = (body[body.length - 5] ?? 0) ^ 1;
  const changed = `${lines[0]}\n${body.toString('base64')}\n${lines.at(-1)}`;
  for (const text of ['', 'hello', authority.certificatePem, changed, `${requestPem}${'A'.repeat(5_000)}`]) {
    expect(await certify(authority, text, { kind: 'head', clusterId }, nowMs, dayMs, systemRandom)).toBeUndefined();
  }
});
