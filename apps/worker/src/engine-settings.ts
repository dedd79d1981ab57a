import type { WorkerSettings } from "./config.ts";

/** The engine's socket, or its address for a worker that reaches it over the network. */
export const engineAt = (address: string) => (address.startsWith("/") ? { socketPath: address } : { host: address });

/** What this operator may pull with: Docker Hub's account of the guide, and one registry of their own. */
export function registryCredentials(settings: WorkerSettings): { registry: string; username: string; password: string }[] {
  const { dockerHubUsername, dockerHubPassword, registryAddress = "docker.io", registryUsername, registryPassword } = settings;
  const hub =
    dockerHubUsername === undefined || dockerHubPassword === undefined
      ? []
      : [{ registry: "docker.io", username: dockerHubUsername, password: dockerHubPassword.reveal() }];
  const other =
    registryUsername === undefined || registryPassword === undefined
      ? []
      : [{ registry: registryAddress, username: registryUsername, password: registryPassword.reveal() }];
  return [...hub, ...other];
}
