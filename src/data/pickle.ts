/**
 * Reads the pickles that the Python versions of CIFAR are: dictionaries of numbers, texts, lists and NumPy arrays of
 * bytes. Nothing in a pickle is executed; any other object is refused.
 *
 * A pickle is a program for a stack machine: https://docs.python.org/3/library/pickletools.html names the opcodes.
 */

/** A NumPy array of unsigned bytes. */
export interface ByteArray {
  shape: number[];
  bytes: Uint8Array;
}

/** Texts and byte strings alike become strings, byte by byte. */
export type Pickled =
  null | boolean | number | string | Pickled[] | Map<string, Pickled> | ByteArray | Reference;

/** A Python function or class, by its name, with what it was called with. */
interface Reference {
  name: string;
  state?: Pickled;
}

const MARK = Symbol('mark');
type Slot = Pickled | typeof MARK;

/** @throws Error for a truncated pickle, an opcode that these files do not have, and an object of another kind */
export function readPickle(bytes: Uint8Array): Pickled {
  return new Unpickler(bytes).read();
}

class Unpickler {
  private at = 0;
  private readonly stack: Slot[] = [];
  private readonly memo = new Map<number, Pickled>();
  private readonly view: DataView;

  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  read(): Pickled {
    for (;;) {
      const opcode = this.take(1)[0]!;
      if (opcode === 0x2e) return this.pop();
      const act = OPCODES[opcode];
      if (act === undefined) {
        throw new Error(
          `it has an unexpected opcode 0x${opcode.toString(16)} at byte ${this.at - 1}`,
        );
      }
      act(this);
    }
  }

  take(length: number): Uint8Array {
    const end = this.at + length;
    if (end > this.bytes.length) throw new Error('it is cut short');
    const taken = this.bytes.subarray(this.at, end);
    this.at = end;
    return taken;
  }

  /** A little-endian number of 1, 2 or 4 bytes. */
  number(length: 1 | 2 | 4, isSigned = false): number {
    const at = this.at;
    this.take(length);
    if (length === 1) return this.view.getUint8(at);
    if (length === 2) return this.view.getUint16(at, true);
    return isSigned ? this.view.getInt32(at, true) : this.view.getUint32(at, true);
  }

  text(length: number): string {
    return Buffer.from(this.take(length)).toString('latin1');
  }

  line(): string {
    const end = this.bytes.indexOf(0x0a, this.at);
    if (end < 0) throw new Error('it is cut short');
    const line = this.text(end - this.at);
    this.at = end + 1;
    return line;
  }

  push(value: Slot): void {
    this.stack.push(value);
  }

  pop(): Pickled {
    const value = this.stack.pop();
    if (value === undefined || value === MARK) throw new Error('its stack is empty');
    return value;
  }

  top(): Pickled {
    const value = this.stack.at(-1);
    if (value === undefined || value === MARK) throw new Error('its stack is empty');
    return value;
  }

  popToMark(): Pickled[] {
    const mark = this.stack.lastIndexOf(MARK);
    if (mark < 0) throw new Error('its stack has no mark');
    return this.stack.splice(mark).slice(1) as Pickled[];
  }

  popMany(count: number): Pickled[] {
    return Array.from({ length: count }, () => this.pop()).reverse();
  }

  remember(key: number): void {
    this.memo.set(key, this.top());
  }

  memoize(): void {
    this.remember(this.memo.size);
  }

  recall(key: number): void {
    const value = this.memo.get(key);
    if (value === undefined) throw new Error('it refers to what it has not');
    this.push(value);
  }
}

/** A text of the pickle. @throws Error for anything else */
function textOf(value: Pickled | undefined): string {
  if (typeof value === 'string') return value;
  throw new Error('it has no text where one must be');
}

function setItems(machine: Unpickler, items: Pickled[]): void {
  const map = machine.top();
  if (!(map instanceof Map)) throw new Error('it sets items of what is no dictionary');
  for (let at = 0; at + 1 < items.length; at += 2) map.set(textOf(items[at]), items[at + 1]!);
}

function append(machine: Unpickler, items: Pickled[]): void {
  const list = machine.top();
  if (!Array.isArray(list)) throw new Error('it appends to what is no list');
  for (const item of items) list.push(item);
}

/** What calling a function by its name makes. Arrays get their content from `build`. */
function reduce(machine: Unpickler): void {
  const given = machine.pop();
  const called = machine.pop();
  const name = isReference(called) ? called.name : 'no function';
  if (/^numpy\.(_core|core)\.multiarray _reconstruct$/.test(name)) {
    machine.push({ shape: [], bytes: new Uint8Array(0) });
  } else if (name === 'numpy dtype') {
    const type = Array.isArray(given) ? textOf(given[0]) : '';
    if (!/^[|<>=]?u1$/.test(type)) throw new Error(`it has an array of ${type}, not of bytes`);
    machine.push({ name: 'u1' });
  } else if (name === '_codecs encode' && Array.isArray(given)) {
    machine.push(given[0]!);
  } else throw new Error(`it has an object of an unexpected kind, ${name}`);
}

function build(machine: Unpickler): void {
  const state = machine.pop();
  const object = machine.top();
  if (isReference(object)) return;
  const isArray = object !== null && typeof object === 'object' && 'bytes' in object;
  if (!isArray || !Array.isArray(state)) throw new Error('it has an object of an unexpected kind');
  const [, shape, , isFortran, content] = state;
  if (!Array.isArray(shape) || typeof content !== 'string' || isFortran === true) {
    throw new Error('it has an array of an unexpected form');
  }
  object.shape = shape.map(Number);
  object.bytes = Buffer.from(content, 'latin1');
}

function isReference(value: Pickled): value is Reference {
  return value !== null && typeof value === 'object' && 'name' in value;
}

/** Python 3 writes texts in UTF-8; what is read here are ASCII names. */
const OPCODES: Record<number, (machine: Unpickler) => void> = {
  0x80: (machine) => void machine.take(1), // PROTO
  0x95: (machine) => void machine.take(8), // FRAME
  0x28: (machine) => machine.push(MARK), // MARK
  0x7d: (machine) => machine.push(new Map()), // EMPTY_DICT
  0x5d: (machine) => machine.push([]), // EMPTY_LIST
  0x29: (machine) => machine.push([]), // EMPTY_TUPLE
  0x4e: (machine) => machine.push(null), // NONE
  0x88: (machine) => machine.push(true), // NEWTRUE
  0x89: (machine) => machine.push(false), // NEWFALSE
  0x4b: (machine) => machine.push(machine.number(1)), // BININT1
  0x4d: (machine) => machine.push(machine.number(2)), // BININT2
  0x4a: (machine) => machine.push(machine.number(4, true)), // BININT
  0x55: (machine) => machine.push(machine.text(machine.number(1))), // SHORT_BINSTRING
  0x54: (machine) => machine.push(machine.text(machine.number(4))), // BINSTRING
  0x43: (machine) => machine.push(machine.text(machine.number(1))), // SHORT_BINBYTES
  0x42: (machine) => machine.push(machine.text(machine.number(4))), // BINBYTES
  0x8c: (machine) => machine.push(machine.text(machine.number(1))), // SHORT_BINUNICODE
  0x58: (machine) => machine.push(machine.text(machine.number(4))), // BINUNICODE
  0x63: (machine) => machine.push({ name: `${machine.line()} ${machine.line()}` }), // GLOBAL
  0x93: (machine) => machine.push({ name: machine.popMany(2).map(textOf).join(' ') }), // STACK_GLOBAL
  0x71: (machine) => machine.remember(machine.number(1)), // BINPUT
  0x72: (machine) => machine.remember(machine.number(4)), // LONG_BINPUT
  0x94: (machine) => machine.memoize(), // MEMOIZE
  0x68: (machine) => machine.recall(machine.number(1)), // BINGET
  0x6a: (machine) => machine.recall(machine.number(4)), // LONG_BINGET
  0x74: (machine) => machine.push(machine.popToMark()), // TUPLE
  0x85: (machine) => machine.push(machine.popMany(1)), // TUPLE1
  0x86: (machine) => machine.push(machine.popMany(2)), // TUPLE2
  0x87: (machine) => machine.push(machine.popMany(3)), // TUPLE3
  0x61: (machine) => append(machine, [machine.pop()]), // APPEND
  0x65: (machine) => append(machine, machine.popToMark()), // APPENDS
  0x73: (machine) => setItems(machine, machine.popMany(2)), // SETITEM
  0x75: (machine) => setItems(machine, machine.popToMark()), // SETITEMS
  0x52: reduce, // REDUCE
  0x62: build, // BUILD
};
