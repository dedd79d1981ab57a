import { freePort } from "@iexec-ts/service";
import { type Command, type CommandOptions, withCommand } from "./command.ts";

/** All ports chosen by the system, except the registry's, which tells this run's images from those of others. */
const anyPorts = (registryPort: number): readonly string[] => [
  ...["--chain-port", "--scheduler-port", "--result-proxy-port", "--gateway-port", "--worker-port"].flatMap((flag) => [flag, "0"]),
  "--registry-port",
  String(registryPort),
];

/** `./run demo` or `./run network` as a newcomer types it, beside whatever else runs on this machine. */
export async function withNetworkCommand<T>(
  which: "demo" | "network",
  flags: readonly string[],
  use: (command: Command, registryPort: number) => Promise<T>,
  options: CommandOptions = {},
): Promise<T> {
  const registryPort = await freePort();
  return withCommand(
    ({ out }) => ["bash", "./run", which, ...anyPorts(registryPort), "--out", out, ...flags],
    options,
    (command) => use(command, registryPort),
  );
}
