import { once } from "node:events";
import { connect, type Socket } from "node:net";

const TAIL = 400;

/** A root shell on the serial port of a machine, reached as its owner does: by logging in at the console. */
export class GuestConsole {
  readonly #socket: Socket;
  #text = "";
  #commands = 0;
  #heard = Promise.withResolvers<void>();

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("utf8").on("data", (text: string) => {
      this.#text += text.replaceAll("\r", "");
      this.#hear();
    });
    socket.on("error", () => socket.destroy()).on("close", () => this.#hear());
  }

  static async open(path: string): Promise<GuestConsole> {
    const socket = connect(path);
    await once(socket, "connect");
    return new GuestConsole(socket);
  }

  /** Logs in with the name and password that the worker guide gives, and becomes root. */
  async logIn(signal: AbortSignal): Promise<void> {
    await this.#until(/login: $/, signal);
    this.#socket.write("iexec\r");
    await this.#until(/Password: $/, signal);
    this.#socket.write("iexec\r");
    await this.#until(/\$ $/, signal);
    this.#socket.write("exec sudo -S -p 'who: ' sh\r");
    await this.#until(/who: $/, signal);
    this.#socket.write("iexec\r");
    await this.#until(/# $/, signal);
    await this.run("stty -echo; PS1= PS2=", signal);
  }

  /** Runs shell commands as root. Errors: when they fail. @returns what they printed */
  async run(commands: string, signal: AbortSignal): Promise<string> {
    this.#commands += 1;
    const mark = `ended ${this.#commands}:`;
    this.#text = "";
    this.#socket.write(`{ ${commands}\r} 2>&1; echo "${mark}$?."\r`);
    const [end = "", code] = await this.#until(new RegExp(`${mark}(\\d+)\\.\\n`), signal);
    const printed = this.#text.slice(0, this.#text.indexOf(end)).trim();
    if (code !== "0") throw new Error(`${commands} ended with ${code}: ${printed.slice(-TAIL)}`);
    return printed;
  }

  /** Waits until the condition holds in the guest. */
  async until(condition: string, signal: AbortSignal): Promise<void> {
    await this.run(`until ${condition}; do sleep 0.1; done`, signal);
  }

  close(): void {
    this.#socket.destroy();
  }

  async #until(pattern: RegExp, signal: AbortSignal): Promise<RegExpExecArray> {
    const stop = () => this.#hear();
    signal.addEventListener("abort", stop, { once: true });
    try {
      for (;;) {
        const heard = this.#heard.promise;
        const found = pattern.exec(this.#text);
        if (found !== null) return found;
        if (signal.aborted || this.#socket.destroyed)
          throw new Error(`the console never showed ${pattern}; last: ${this.#text.slice(-TAIL)}`);
        await heard;
      }
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  #hear(): void {
    this.#heard.resolve();
    this.#heard = Promise.withResolvers();
  }
}
