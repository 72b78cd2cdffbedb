import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { messageOf, RefusedError, refused } from '../../base/errors.ts';

/** Stands for a message that is none: gRPC itself would blame the head for it. */
class Unreadable {
  readonly why: string;
  constructor(why: string) {
    this.why = why;
  }
}

/** A service whose handlers get to see every message, also what cannot be read: `requestOf` refuses that. */
export function readable<Implementation extends UntypedServiceImplementation>(
  service: ServiceDefinition<Implementation>,
): ServiceDefinition<Implementation> {
  const methods = Object.entries<ServiceDefinition[string]>(service).map(([name, method]) => {
    const requestDeserialize = (bytes: Buffer): unknown => {
      try {
        return method.requestDeserialize(bytes);
      } catch (error) {
        return new Unreadable(messageOf(error));
      }
    };
    return [name, { ...method, requestDeserialize }];
  });
  return Object.fromEntries(methods) as ServiceDefinition<Implementation>; // the same methods, one function of each replaced
}

/** The message, or the refusal of one that cannot be read, thrown. */
export function requestOf<Request>(message: Request): Request {
  if (!(message instanceof Unreadable)) return message;
  throw new RefusedError(
    refused('invalid', `Cannot read the message: ${message.why}; use a labrun of the head's own version`),
  );
}
