import { AgentLinkService, type HeadMessage } from '../../proto/gen/labrun/v1/agent_link.ts';
import { ArchiveService } from '../../proto/gen/labrun/v1/archive.ts';
import type { CallKind } from './sim-network.ts';
import type { Codec } from './sim-stream.ts';

/** The control stream; `hear` is told what the head says, as it arrives. */
export function linkCall(hear: (message: HeadMessage) => void): CallKind {
  const { response } = link;
  const decode = (bytes: Uint8Array) => {
    const message = response.decode(bytes);
    hear(message as HeadMessage); // the stream's own codec has made it
    return message;
  };
  return { ...link, response: { ...response, decode } };
}

const link = kindOf(AgentLinkService.link);

/** The stream by which archives travel. */
export const putCall: CallKind = kindOf(ArchiveService.put);

function kindOf<Request, Response>(method: {
  readonly path: string;
  requestSerialize(value: Request): Buffer;
  requestDeserialize(bytes: Buffer): Request;
  responseSerialize(value: Response): Buffer;
  responseDeserialize(bytes: Buffer): Response;
}): CallKind {
  // Only messages of this method are ever given to its codecs.
  const request: Codec = {
    encode: (message) => method.requestSerialize(message as Request),
    decode: (bytes) => method.requestDeserialize(Buffer.from(bytes)),
  };
  const response: Codec = {
    encode: (message) => method.responseSerialize(message as Response),
    decode: (bytes) => method.responseDeserialize(Buffer.from(bytes)),
  };
  return { path: method.path, request, response };
}
