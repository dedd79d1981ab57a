import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { spawnTethered, type Tethered } from "@iexec-ts/testkit";
import { z } from "zod";
import { parsePpm, type Screen } from "./vm-screen.ts";

const run = promisify(execFile);

const messageSchema = z.union([
  z.object({ QMP: z.unknown() }),
  z.object({ return: z.unknown() }),
  z.object({ error: z.object({ class: z.string(), desc: z.string() }) }),
  z.object({ event: z.string(), data: z.unknown() }),
]);
const shutdownSchema = z.object({ guest: z.boolean(), reason: z.string() });

type Answer = PromiseWithResolvers<unknown>;

/** Keys of a qwerty keyboard for characters that are not their own name. @source QEMU, QKeyCode */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  "\n": ["ret"],
  " ": ["spc"],
  "-": ["minus"],
  ".": ["dot"],
  "/": ["slash"],
  ":": ["shift", "semicolon"],
};
const KEY_HOLD_MS = 20;
/** As slow as a hand: the desktop takes quicker clicks for a button that bounces, and those half a second apart for two single ones. */
const BUTTON_HOLD_MS = 100;
const TABLET_RANGE = 32_767;

/** A machine of 2 processors and 2,048 MB in software emulation, with its screen, keyboard, mouse and serial port in our hands. */
export class VirtualMachine {
  readonly #process: Tethered;
  readonly #dir: string;
  readonly #qmp: Socket;
  readonly #answers: Answer[] = [];
  readonly #ended = Promise.withResolvers<string>();
  readonly poweredOnAt: number;

  private constructor(process: Tethered, qmp: Socket, dir: string) {
    this.#process = process;
    this.#qmp = qmp;
    this.#dir = dir;
    this.poweredOnAt = performance.now();
    this.#ended.promise.catch(() => undefined);
    createInterface({ input: qmp }).on("line", (line) => this.#hear(messageSchema.parse(JSON.parse(line))));
    qmp.on("error", () => qmp.destroy());
    void process.exited.then((code) => this.#ended.reject(new Error(`the emulator ended with ${code}: ${process.output().slice(-300)}`)));
  }

  /**
   * Switches a machine on. What it writes goes to a file of its own; `disk` stays as it is.
   *
   * SIDE EFFECTS: starts an emulator, which ends with this process; files in `dir`.
   */
  static async powerOn(options: { readonly disk: string; readonly dir: string }, signal: AbortSignal): Promise<VirtualMachine> {
    const { disk, dir } = options;
    const written = join(dir, "written.qcow2");
    await run("qemu-img", ["create", "-q", "-f", "qcow2", "-b", disk, "-F", "vmdk", written]);
    const qmpPath = join(dir, "qmp");
    const process = await spawnTethered(
      {
        program: "qemu-system-x86_64",
        command: "qemu-system-x86_64",
        args: [
          ...["-machine", "q35", "-accel", "tcg,thread=multi,tb-size=1024", "-cpu", "max", "-smp", "2", "-m", "2048"],
          ...["-drive", `file=${written},format=qcow2,if=none,id=disk`, "-device", "ide-hd,drive=disk,bus=ide.0"],
          ...["-nic", "user,model=e1000", "-vga", "std", "-usb", "-device", "usb-tablet", "-display", "none"],
          ...["-serial", `unix:${join(dir, "serial")},server=on,wait=off`, "-qmp", `unix:${qmpPath},server=on,wait=on`],
        ],
        // It starts when its control connection is made.
        ready: (output) => /waiting for connection/.exec(output)?.[0],
      },
      signal,
    );
    const qmp = connect(qmpPath);
    const machine = new VirtualMachine(process, qmp, dir);
    await once(qmp, "connect");
    await machine.#ask("qmp_capabilities");
    return machine;
  }

  get serialPath(): string {
    return join(this.#dir, "serial");
  }

  /** Resolves when the guest switches the machine off, with the reason; rejects when the emulator ends otherwise. */
  get switchedOff(): Promise<string> {
    return this.#ended.promise;
  }

  async screen(): Promise<Screen> {
    const filename = join(this.#dir, "screen.ppm");
    await this.#ask("screendump", { filename });
    return parsePpm(await readFile(filename));
  }

  /** SIDE EFFECTS: writes a PNG. */
  async photograph(filename: string): Promise<void> {
    await this.#ask("screendump", { filename, format: "png" });
  }

  /** Types on the keyboard: lower case letters, digits and what an address is made of; a line break is Enter. */
  async type(text: string): Promise<void> {
    for (const character of text) {
      const keys = KEYS[character] ?? [character];
      await this.#ask("send-key", { keys: keys.map((data) => ({ type: "qcode", data })), "hold-time": KEY_HOLD_MS });
    }
  }

  async doubleClick(at: { readonly x: number; readonly y: number }): Promise<void> {
    const { width, height } = await this.screen();
    const axis = (name: string, value: number, range: number) => ({
      type: "abs",
      data: { axis: name, value: Math.round((value * TABLET_RANGE) / range) },
    });
    await this.#ask("input-send-event", { events: [axis("x", at.x, width), axis("y", at.y, height)] });
    for (const down of [true, false, true, false]) {
      await sleep(BUTTON_HOLD_MS);
      await this.#ask("input-send-event", { events: [{ type: "btn", data: { down, button: "left" } }] });
    }
  }

  /** Pulls the plug when it still runs. Idempotent. */
  async close(): Promise<void> {
    this.#qmp.destroy();
    await this.#process.stop();
  }

  #ask(execute: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const answer: Answer = Promise.withResolvers();
    this.#answers.push(answer);
    this.#qmp.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    return Promise.race([answer.promise, this.#ended.promise.then((reason) => Promise.reject(new Error(`it is off: ${reason}`)))]);
  }

  #hear(message: z.output<typeof messageSchema>): void {
    if ("return" in message) this.#answers.shift()?.resolve(message.return);
    if ("error" in message) this.#answers.shift()?.reject(new Error(`${message.error.class}: ${message.error.desc}`));
    if ("event" in message && message.event === "SHUTDOWN") {
      const { guest, reason } = shutdownSchema.parse(message.data);
      if (guest) this.#ended.resolve(reason);
    }
  }
}
