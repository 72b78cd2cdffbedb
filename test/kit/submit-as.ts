import { call, openClient } from '../../base/channel/client.ts';
import type { Endpoint } from '../../base/channel/credentials.ts';
import type { BatchId } from '../../base/ids.ts';
import { type ContentHash, hashBytes } from '../../base/transfer/hash.ts';
import type { BatchSpec } from '../../config/spec.ts';
import { writeSpec } from '../../config/spec-file.ts';
import { BatchesClient, SubmitMode } from '../../proto/gen/labrun/v1/batches.ts';
import { BlobsClient } from '../../proto/gen/labrun/v1/blobs.ts';
import { newBatchId } from './head-world.ts';

/** Uploads one content as whoever the endpoint's certificate names. */
export async function putAs(endpoint: Endpoint, namespace: string, bytes: Uint8Array): Promise<void> {
  const client = openClient(BlobsClient, endpoint, 'bulk');
  try {
    await new Promise((resolve, reject) => {
      const stream = client.put((error, response) => (error ? reject(error) : resolve(response)));
      const data = Buffer.from(bytes);
      stream.write({ namespace, hash: hashBytes(bytes), size: BigInt(bytes.length), offset: 0n, data });
      stream.end();
    });
  } finally {
    client.close();
  }
}

/** Uploads a spec and submits it. */
export async function submitAs(
  endpoint: Endpoint,
  spec: BatchSpec,
): Promise<{ readonly batchId: BatchId; readonly specHash: ContentHash }> {
  const { namespace, name } = spec;
  const bytes = writeSpec(spec);
  await putAs(endpoint, namespace, bytes);
  const client = openClient(BatchesClient, endpoint, 'control');
  try {
    const ids = { batchId: newBatchId(), namespace, name, specHash: hashBytes(bytes), sourceHash: '' };
    await call(client, client.submit, { ...ids, mode: SubmitMode.NEW, dryRun: false });
    return { batchId: ids.batchId, specHash: ids.specHash };
  } finally {
    client.close();
  }
}
