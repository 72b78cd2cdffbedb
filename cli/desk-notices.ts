import { readStream } from '../base/channel/streams.ts';
import { messageOf } from '../base/errors.ts';
import type { Desk } from './desk-connect.ts';
import type { Printer } from './print.ts';

/**
 * Shows what the agent wants people here to know, for as long as it listens or until the signal is aborted. What it said
 * before is old. A session that shows no such things is told so once for each reason.
 */
export async function showNotices({ client, prove }: Desk, until: AbortSignal, print: Printer): Promise<void> {
  const { showNotice } = await import('../node-agent/presence/main.ts');
  let shown: bigint | undefined;
  let trouble = '';
  try {
    for await (const { node, notice, noticeNumber } of readStream(client.watch({ follow: true }, prove()), until)) {
      if (shown === undefined) print.note(`in touch with the agent of ${node}`);
      const isNew = shown !== undefined && noticeNumber !== shown && notice !== '';
      shown = noticeNumber;
      if (!isNew) continue;
      try {
        await showNotice(notice);
      } catch (error) {
        const why = messageOf(error);
        if (why !== trouble) print.note(why);
        trouble = why;
      }
    }
  } catch (error) {
    if (!until.aborted) throw error;
  }
}
