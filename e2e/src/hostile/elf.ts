/** Number of one system call on x86-64 and its arguments; bytes are passed by their address. */
export interface Syscall {
  readonly number: number;
  readonly args: readonly (number | Uint8Array)[];
}

const LOAD_ADDRESS = 0x400000;
const HEADER_BYTES = 64 + 56;
/** mov rdi, rsi, rdx, r10, r8, r9: each takes an eight-byte value. */
const ARGUMENT_REGISTERS = [
  [0x48, 0xbf],
  [0x48, 0xbe],
  [0x48, 0xba],
  [0x49, 0xba],
  [0x49, 0xb8],
  [0x49, 0xb9],
] as const;
const AFTER_CALL = [
  // test rax, rax; jns over the exit
  ...[0x48, 0x85, 0xc0, 0x79, 0x0c],
  // neg eax; mov edi, eax; mov eax, 60 (exit); syscall; nop
  ...[0xf7, 0xd8, 0x89, 0xc7, 0xb8, 60, 0, 0, 0, 0x0f, 0x05, 0x90],
];
/** xor edi, edi; mov eax, 60; syscall */
const EXIT_0 = [0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05];

const word = (value: number, bytes: 2 | 4 | 8): Buffer => {
  const buffer = Buffer.alloc(8);
  buffer.writeBigInt64LE(BigInt(value));
  return buffer.subarray(0, bytes);
};

/**
 * A Linux program of a few hundred bytes that makes these system calls in order. Its exit code is 0, or the error number of the first call
 * that fails. So an image can try what no shell can, without a compiler.
 *
 * @source System V ABI, AMD64 supplement, A.2; ELF-64 object file format
 */
export function elfOf(calls: readonly Syscall[]): Buffer {
  const callBytes = (call: Syscall) => 7 + call.args.length * 10 + AFTER_CALL.length;
  const codeBytes = calls.reduce((sum, call) => sum + callBytes(call), 0) + EXIT_0.length;
  const data: Buffer[] = [];
  let dataAt = LOAD_ADDRESS + HEADER_BYTES + codeBytes;
  const code: number[] = [];
  for (const { number, args } of calls) {
    for (const [at, arg] of args.entries()) {
      let value: number;
      if (typeof arg === "number") value = arg;
      else {
        value = dataAt;
        dataAt += arg.length;
        data.push(Buffer.from(arg));
      }
      code.push(...(ARGUMENT_REGISTERS[at] ?? []), ...word(value, 8));
    }
    // mov eax, number; syscall
    code.push(0xb8, ...word(number, 4), 0x0f, 0x05, ...AFTER_CALL);
  }
  code.push(...EXIT_0);
  if (code.length !== codeBytes) throw new Error(`${code.length} bytes of code, ${codeBytes} counted`);
  const body = Buffer.concat([Buffer.from(code), ...data]);
  const size = HEADER_BYTES + body.length;
  const header = Buffer.concat([
    // 64 bits, little-endian, executable, x86-64
    Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    word(2, 2),
    word(62, 2),
    word(1, 4),
    word(LOAD_ADDRESS + HEADER_BYTES, 8),
    word(64, 8),
    word(0, 8),
    word(0, 4),
    word(64, 2),
    word(56, 2),
    word(1, 2),
    word(0, 2),
    word(0, 2),
    word(0, 2),
    // One segment: read, write and execute.
    word(1, 4),
    word(7, 4),
    word(0, 8),
    word(LOAD_ADDRESS, 8),
    word(LOAD_ADDRESS, 8),
    word(size, 8),
    word(size, 8),
    word(0x1000, 8),
  ]);
  return Buffer.concat([header, body]);
}
