import { open } from 'node:fs/promises';

/**
 * The bytes of something that a person named, which may be a pipe. Rejects with the system's error, or when there are more than
 * `maxBytes`: a device gives bytes without end.
 */
export async function readUpTo(path: string, maxBytes: number): Promise<Buffer> {
  const file = await open(path);
  try {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of file.createReadStream({ autoClose: false })) {
      const data = Buffer.from(chunk);
      bytes += data.length;
      if (bytes > maxBytes) throw new Error(`it has more than ${maxBytes} bytes`);
      chunks.push(data);
    }
    return Buffer.concat(chunks);
  } finally {
    await file.close();
  }
}
