import type { Scenario } from "../scenario.ts";
import { requireNothingLeft } from "./leftovers.ts";
import { withNetworkCommand } from "./network-command.ts";

/** What the demo promises at the longest. */
const GRACE_MS = 30_000;
const INTERRUPTED = 130;

/** Where Ctrl-C is pressed: as soon as the demo says this. */
const MOMENTS = {
  database: /starting the database/,
  image: /building the demo's image/,
  chain: /starting the chain/,
  services: /starting the result proxy/,
  workers: /starting 3 workers/,
  downloading: /APP_DOWNLOADING/,
  computing: / COMPUTING /,
  revealing: / CONTRIBUTED /,
};

/** Ctrl-C at any moment ends the demo with 130, in time, and leaves nothing. */
export const interruptions: readonly Scenario<undefined>[] = Object.entries(MOMENTS).map(([moment, sign]) => ({
  id: `ctrl-c-${moment}`,
  timeoutMs: 240_000,
  run: (_, signal) =>
    // Pictures that take long, so that Ctrl-C comes while they are computed.
    withNetworkCommand("demo", ["--samples", moment === "computing" ? "2000" : "4"], async (command, registryPort) => {
      await command.says(sign, signal);
      command.interrupt();
      const { code, stdout } = await command.end(GRACE_MS);
      if (code !== INTERRUPTED) throw new Error(`ended with ${code}: ${command.stderr.slice(-400)}`);
      if (stdout !== "") throw new Error(`said on standard output: ${stdout.slice(0, 200)}`);
      await requireNothingLeft(command, registryPort);
      return "130, nothing left";
    }),
}));
