/** A device whose events are a person's. */
export interface InputDevice {
  /** As in "event3". */
  readonly node: string;
  readonly label: string;
}

/**
 * Keyboards, pointers, touchscreens and tablets in the text of `/proc/bus/input/devices`. Others (lids, jacks, motion
 * sensors, joysticks, which drift) say nothing of a person.
 */
export function peopleDevices(text: string): readonly InputDevice[] {
  return text.split('\n\n').flatMap((block) => {
    const handlers = /^H: Handlers=(.*)$/m.exec(block)?.[1]?.split(' ') ?? [];
    const node = handlers.find((handler) => /^event\d+$/.test(handler));
    const fits = handlers.some((handler) => handler === 'kbd' || /^mouse\d+$/.test(handler));
    return node === undefined || !fits ? [] : [{ node, label: /^N: Name="(.*)"$/m.exec(block)?.[1] ?? node }];
  });
}

/** Bytes of one event, and where its kind stands in it: after the time, two words of 64 bits. */
const eventBytes = 24;
const kindAt = 16;
/** Keys and buttons, relative and absolute movement; lamps that a program switches are no activity. */
const kindsOfPeople = [1, 2, 3];

/** Looks for a person's event in what was read from a device; `rest` is the beginning of one that is not whole. */
export function hasActivity(bytes: Buffer): { readonly acted: boolean; readonly rest: Buffer } {
  const whole = bytes.length - (bytes.length % eventBytes);
  let acted = false;
  for (let at = 0; at < whole && !acted; at += eventBytes)
    acted = kindsOfPeople.includes(bytes.readUInt16LE(at + kindAt));
  return { acted, rest: bytes.subarray(whole) };
}
